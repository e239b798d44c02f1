"""Stochastic gradient descent as the lecture writes it (row 2).

    while not converged:
        sample a mini-batch
        for each sample: predict, measure the error, back-propagate
        w ← w − γ Σₙ ∂Lₙ/∂w

The sum over the samples of the mini-batch is written in three ways that agree: a loop over samples as above, `vmap` of
one sample's gradient, and all samples in one batch. `purecnn.train.step` is the same descent for any optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from purecnn.annotations import Array
from purecnn.chain import Chain, Params, backprop
from purecnn.data.batches import training_batches
from purecnn.losses.squared_error import squared_error_bwd, squared_error_fwd
from purecnn.train.stopping import converged, require_finite

SQUARED_ERROR = (squared_error_fwd, squared_error_bwd)
SummedGradient = Callable[..., tuple[Array, list[Params]]]


def gradient_by_loop(net: Chain, params, x: Array, targets: Array, loss=SQUARED_ERROR) -> tuple[Array, list[Params]]:
    """The summed loss of the samples and its gradient: the lecture's `for each sample`."""
    total = (jnp.zeros((), x.dtype), jax.tree.map(jnp.zeros_like, params))
    for n in range(len(x)):
        one = backprop(net, params, x[n : n + 1], targets[n : n + 1], loss=loss)
        total = jax.tree.map(jnp.add, total, one)
    return total


def gradient_by_vmap(net: Chain, params, x: Array, targets: Array, loss=SQUARED_ERROR) -> tuple[Array, list[Params]]:
    """The same, every sample's own loss and gradient at once, then summed."""

    def one(sample, target):
        return backprop(net, params, sample[None], target[None], loss=loss)

    return jax.tree.map(lambda each: each.sum(axis=0), jax.vmap(one)(x, targets))


def gradient_by_batch(net: Chain, params, x: Array, targets: Array, loss=SQUARED_ERROR) -> tuple[Array, list[Params]]:
    """The same, the sum being done by the layers: the mean over the batch times the batch size."""
    return jax.tree.map(lambda mean: mean * len(x), backprop(net, params, x, targets, loss=loss))


def descend(params: list[Params], gradient: list[Params], rate: float) -> list[Params]:
    """w ← w − γ ∂L/∂w."""
    return jax.tree.map(lambda w, g: w - rate * g, params, gradient)


def descend_until_converged(
    net: Chain,
    params: list[Params],
    x: Array,
    targets: Array,
    *,
    rate: float,
    batch_size: int,
    loss: tuple[Callable[..., Any], Callable[..., Any]] = SQUARED_ERROR,
    gradient: SummedGradient = gradient_by_batch,
    patience: int = 5,
    tolerance: float = 1e-3,
    max_epochs: int = 1000,
    seed: int = 0,
) -> tuple[list[Params], list[float]]:
    """The loop: the parameters it ends with, and the mean loss of a sample in every epoch (one pass over all samples).

    It stops when `converged(losses, patience=…, tolerance=…)`, or after `max_epochs`; it raises `Diverged` at a loss
    that is not finite.
    """

    @jax.jit
    def step(params, x, targets):
        total, summed = gradient(net, params, x, targets, loss)
        return descend(params, summed, rate), total / len(x)

    losses: list[float] = []
    while not converged(losses, patience=patience, tolerance=tolerance) and len(losses) < max_epochs:
        batches = training_batches(len(x), batch_size, seed=seed, epoch=len(losses))
        seen = []
        for batch in batches:
            params, mean = step(params, x[batch], targets[batch])
            seen.append(float(mean))
        require_finite(seen, first_step=len(losses) * len(batches) + 1)
        losses.append(sum(seen) / len(seen))
    return params, losses
