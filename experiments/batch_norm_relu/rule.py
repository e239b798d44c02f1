"""Batch normalisation, an addition and ReLU as one rule, and the layers that a net needs of it.

    y = max(0, γ x̂ + β + s)         s: the shortcut's output, where there is one

z̄ = ȳ [y > 0] is s̄ and the cotangent of the normalisation, whose rule does the rest. What is kept is x and the
statistics: without a shortcut γ x̂ + β > 0 is found again from them. With one, y is kept in its place: the layer behind
keeps it too, and s nothing else keeps where the shortcut ends in a normalisation of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp

import purecnn
from experiments.benchmark import specs
from experiments.benchmark.specs import BATCH_NORM, RELU, Residual
from purecnn import nn
from purecnn.chain import Chain, Layer
from purecnn.layers.batch_norm import batch_norm_bwd, batch_norm_fwd
from purecnn.ops import per_channel, sums_to_channels
from purecnn.rules import rule


@rule
def batch_norm_relu(x, scale, bias, residual=None):
    """x and residual (..., C), scale and bias (C,) -> y (..., C), mean (C,), variance (C,)."""
    (y, mean, variance), _ = batch_norm_fwd(x, scale, bias)
    return jax.nn.relu(y if residual is None else y + residual), mean, variance


@batch_norm_relu.def_fwd
def batch_norm_relu_fwd(x, scale, bias, residual=None):
    (y, mean, variance), (*_, r) = batch_norm_fwd(x, scale, bias)
    y = jax.nn.relu(y if residual is None else y + residual)
    return (y, mean, variance), (x, scale, bias, mean, r, None if residual is None else y)


@batch_norm_relu.def_bwd
def batch_norm_relu_bwd(residuals, y_bar):
    x, scale, bias, mean, r, y = residuals
    y_bar, mean_bar, variance_bar = y_bar
    if y is not None:  # z̄ is a result too, so that it is materialised in any case
        z_bar = jnp.where(y > 0, y_bar, jnp.zeros((), y_bar.dtype))
        return *batch_norm_bwd((x, scale, mean, r), (z_bar, mean_bar, variance_bar)), z_bar
    m, wide = math.prod(x.shape[:-1]), r.dtype
    a = r * scale.astype(wide)

    def masked(y_bar, x):
        """z̄ and x − μ, found again wherever they are used: both reads of ȳ and x fuse with it."""
        centred = x.astype(wide) - per_channel(mean, x)
        z = centred * per_channel(a, x) + per_channel(bias.astype(wide), x)
        return jnp.where(z > 0, y_bar.astype(wide), jnp.zeros((), wide)), centred

    def terms(y_bar, x):
        z_bar, centred = masked(y_bar, x)
        return z_bar, z_bar * centred

    bias_bar, along = sums_to_channels(terms, y_bar, x)
    scale_bar = r * along
    b, c = (2 * variance_bar - a * r * scale_bar) / m, (mean_bar - a * bias_bar) / m
    z_bar, centred = masked(y_bar, x)
    x_bar = per_channel(a, x) * z_bar + per_channel(b, x) * centred + per_channel(c, x)
    return x_bar.astype(x.dtype), scale_bar.astype(scale.dtype), bias_bar.astype(bias.dtype), None


def _updated(state, mean, variance):
    fresh = {"mean": mean, "variance": variance}
    return {name: 0.9 * old + 0.1 * fresh[name] for name, old in state.items()}


def _at_rest(params, state, x, residual=None):
    """Without training, which only `Chain.shapes` asks for here."""
    y = purecnn.batch_norm_inference(x, *(params[n] for n in ("scale", "bias")), state["mean"], state["variance"])
    return jax.nn.relu(y if residual is None else y + residual)


def norm_relu() -> Layer:
    norm = nn.batch_norm()

    def apply(params, state, x, train, key):
        if not train:
            return _at_rest(params, state, x), state
        y, *statistics = batch_norm_relu(x, params["scale"], params["bias"])
        return y, _updated(state, *jax.lax.stop_gradient(statistics))

    def fwd(params, state, x, train, key):
        (y, *statistics), residuals = batch_norm_relu.fwd(x, params["scale"], params["bias"])
        return y, _updated(state, *statistics), residuals

    def bwd(residuals, y_bar, train):
        still = jnp.zeros_like(residuals[3])
        x_bar, scale, bias, _ = batch_norm_relu.bwd(residuals, (y_bar, still, still))
        return x_bar, {"scale": scale, "bias": bias}

    return Layer("batch_norm_relu", apply, fwd, bwd, norm.init, norm.init_state)


def residual_norm_relu(body: tuple[Layer, ...], shortcut: tuple[Layer, ...]) -> Layer:
    """y = max(0, norm(body(x)) + shortcut(x)); `body` ends in front of its last normalisation."""
    ways, norm = {"body": Chain("body", body), "shortcut": Chain("shortcut", shortcut)}, nn.batch_norm()

    def apply(params, state, x, train, key):
        out = {n: w.apply_with_state(params[n], x, state=state[n], train=train) for n, w in ways.items()}
        (a, body_state), (s, shortcut_state) = out["body"], out["shortcut"]
        new, state = {"body": body_state, "shortcut": shortcut_state}, state["norm"]
        if not train:
            return _at_rest(params["norm"], state, a, s), {**new, "norm": state}
        y, *statistics = batch_norm_relu(a, params["norm"]["scale"], params["norm"]["bias"], s)
        return y, {**new, "norm": _updated(state, *jax.lax.stop_gradient(statistics))}

    def fwd(params, state, x, train, key):
        out = {n: w.forward(params[n], x, state=state[n], train=train) for n, w in ways.items()}
        (a, body_state, kept), (s, shortcut_state, shortcut_kept) = out["body"], out["shortcut"]
        norm = params["norm"]
        (y, *statistics), residuals = batch_norm_relu.fwd(a, norm["scale"], norm["bias"], s)
        new = {"body": body_state, "shortcut": shortcut_state, "norm": _updated(state["norm"], *statistics)}
        return y, new, (kept, shortcut_kept, residuals)

    def bwd(residuals, y_bar, train):
        kept, shortcut_kept, norm_kept = residuals
        still = jnp.zeros_like(norm_kept[3])
        a_bar, scale, bias, s_bar = batch_norm_relu.bwd(norm_kept, (y_bar, still, still))
        x_bar, body_bar = ways["body"].backward(kept, a_bar, train=train)
        also, shortcut_bar = ways["shortcut"].backward(shortcut_kept, s_bar, train=train)
        bars = {"body": body_bar, "shortcut": shortcut_bar, "norm": {"scale": scale, "bias": bias}}
        return x_bar + also, bars

    def behind(shape, dtype):
        return ways["body"].shapes(shape, dtype)[-1]

    def init(key, shape, dtype):
        each = {n: w.init(key, shape, dtype) for n, w in ways.items()}
        return {**each, "norm": norm.init(key, behind(shape, dtype), dtype)}

    def init_state(shape, dtype):
        each = {n: w.init_state(shape, dtype) for n, w in ways.items()}
        return {**each, "norm": norm.init_state(behind(shape, dtype), dtype)}

    return Layer("residual_norm_relu", apply, fwd, bwd, init, init_state)


def _merged(spec: tuple) -> Iterator[tuple[str, int]]:
    """("norm" or "residual", index) of an operation that takes the ReLU behind it in; ("", index) of any other."""
    ops = iter(enumerate(spec))
    for i, op in ops:
        followed = spec[i + 1 : i + 2] == (RELU,)
        if followed and op == BATCH_NORM:
            kind = "norm"
        elif followed and isinstance(op, Residual) and op.body[-1] == BATCH_NORM:
            kind = "residual"
        else:
            kind = ""
        yield kind, i
        if kind:
            next(ops)


def layers(spec: tuple) -> tuple[Layer, ...]:
    """purecnn's layers for `spec`, with the new rule wherever it fits."""
    made = []
    for kind, i in _merged(spec):
        op = spec[i]
        if kind == "norm":
            made.append(norm_relu())
        elif kind == "residual":
            made.append(residual_norm_relu(layers(op.body[:-1]), layers(op.shortcut)))
        else:
            made.append(specs.layer(op))
    return tuple(made)


def parameters(spec: tuple, params: list) -> list:
    """The parameters of `spec`'s plain chain as the layers above have them; and gradients likewise."""
    made = []
    for kind, i in _merged(spec):
        op, p = spec[i], params[i]
        if kind == "residual":
            body, shortcut = parameters(op.body[:-1], p["body"][:-1]), parameters(op.shortcut, p["shortcut"])
            p = {"body": body, "shortcut": shortcut, "norm": p["body"][-1]}
        made.append(p)
    return made
