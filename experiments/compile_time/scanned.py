"""`backprop` with equal blocks compiled once: a stage's identical blocks as one `lax.scan` in each of the two lists."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

import purecnn
from purecnn.chain import Chain
from purecnn.summary import LONGEST_PERIOD, repeats


class Run(NamedTuple):
    """`times` equal blocks of `period` layers, from layer `start` on."""

    start: int
    period: int
    times: int


def runs(net: Chain, input_shape: tuple[int, ...]) -> list[Run]:
    """The layers in order, in runs as long as possible; a layer alone is a run of one."""
    links = list(zip(net.layers, net.shapes(input_shape)[:-1], strict=True))
    found, i = [], 0
    while i < len(links):
        candidates = [Run(i, period, repeats(links, i, period)) for period in range(1, LONGEST_PERIOD + 1)]
        best = max(candidates, key=lambda run: (run.times > 1) * run.times * run.period)
        found.append(best if best.times > 1 else Run(i, 1, 1))
        i += found[-1].period * found[-1].times
    return found


def backprop(net: Chain, params, x, labels, *, state, train=True):
    """As `purecnn.backprop`, of a net that needs no key."""
    blocks, kept = runs(net, x.shape[1:]), []
    for run in blocks:
        chain = Chain(net.name, net.layers[run.start : run.start + run.period])
        forward = functools.partial(_forward, chain, train)
        if run.times == 1:
            x, residuals = forward(x, *_slices(run, params, state))
        else:
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *_slices(run, params, state, each=True))
            x, residuals = lax.scan(lambda x, block, forward=forward: forward(x, *block), x, stacked)
        kept.append((run, chain, residuals))
    losses, loss_residuals = purecnn.softmax_cross_entropy_fwd(x, labels)
    y_bar, *_ = purecnn.softmax_cross_entropy_bwd(loss_residuals, jnp.full_like(losses, 1 / losses.shape[0]))
    grads = []
    for run, chain, residuals in reversed(kept):
        backward = functools.partial(_backward, chain, train)
        if run.times == 1:
            y_bar, bars = backward(y_bar, residuals)
            grads[:0] = bars
        else:
            y_bar, bars = lax.scan(backward, y_bar, residuals, reverse=True)
            grads[:0] = [bar for i in range(run.times) for bar in jax.tree.map(lambda stacked, i=i: stacked[i], bars)]
    return losses.mean(), grads


def _slices(run: Run, params, state, each: bool = False):
    """Parameters and state of the run's one block, or of `each` of its blocks."""
    starts = [run.start + i * run.period for i in range(run.times)]
    blocks = [(params[start : start + run.period], state[start : start + run.period]) for start in starts]
    return blocks if each else blocks[0]


def _forward(chain: Chain, train, x, params, state):
    y, _, residuals = chain.forward(params, x, state=state, train=train)
    return y, residuals


def _backward(chain: Chain, train, y_bar, residuals):
    return chain.backward(residuals, y_bar, train=train)
