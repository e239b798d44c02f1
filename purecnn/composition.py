"""Layers made of chains: each is a layer of a chain like any other, with an explicit forward and backward pass."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import jax

from purecnn.annotations import Array
from purecnn.chain import Chain, Layer
from purecnn.layers.concatenate import concatenate
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule
from purecnn.signatures import Partial

Way = Layer | Chain | Sequence[Layer]


def residual(*body: Layer, shortcut: Way = ()) -> Layer:
    """y = body(x) + shortcut(x): the residual block of He et al. 2015; an empty shortcut is x itself.

    Both see x, so both send it a cotangent: x̄ = body̅(ȳ) + shortcut̅(ȳ). Parameters and state are
    `{"body": […], "shortcut": […]}`.
    """
    ways = (Chain("body", body), _chain("shortcut", shortcut))
    return _parallel("residual", ways, _add, _add, _add_fwd, _add_bwd)


def branches(*ways: Way) -> Layer:
    """y = way₁(x), way₂(x), … side by side along the last axis, the channels: Inception's block, and DenseNet's.

    A way is a layer, a chain or a list of layers; an empty one is x itself. Each is sent its channels of ȳ, and each
    sends x a cotangent: x̄ = Σᵢ wayᵢ̅(ȳᵢ). Parameters and state are `{"0": […], "1": […], …}`. Raises ValueError without
    a way, or where outputs differ in more than their channels.
    """
    if not ways:
        raise ValueError("branches: ways: got none, expected at least one")
    chains = tuple(_chain(str(i), way) for i, way in enumerate(ways))
    return _parallel("branches", chains, concatenate, concatenate.primal, concatenate.fwd, concatenate.bwd)


def gated(*gate: Layer) -> Layer:
    """y[n, …, c] = x[n, …, c] · g[n, c] with g = gate(x): the channels of each image, weighted by a function of it.

    x̄ = ȳ g + gate̅(ḡ), with ḡ[n, c] = Σ over the image of ȳ x. Parameters and state are `{"body": [], "gate": […]}`.
    Raises ValueError where the gate does not give one number per channel.
    """
    ways = (Chain("body", ()), Chain("gate", gate))
    return _parallel("gated", ways, _weigh, _weigh.primal, _weigh.fwd, _weigh.bwd)


def on_rows(name: str, layer: Layer) -> Layer:
    """`layer`, a convolution of images, on sequences (N, L, C) as images of one row; w (k, C, D) lacks that axis."""
    return Layer(
        name,
        apply=Partial(_row_apply, layer.apply),
        fwd=Partial(_row_forward, layer.fwd),
        bwd=Partial(_row_backward, layer.bwd),
        init=Partial(_row_init, name, layer.init),
        plain=Partial(_row_apply, layer.plain or layer.apply),
    )


def _row_apply(apply, params, state, x, train, key):
    y, state = apply(params | {"w": params["w"][None]}, state, x[:, None], train, key)
    return y[:, 0], state


def _row_forward(fwd, params, state, x, train, key):
    y, state, residuals = fwd(params | {"w": params["w"][None]}, state, x[:, None], train, key)
    return y[:, 0], state, residuals


def _row_backward(bwd, residuals, y_bar, train):
    x_bar, bars = bwd(residuals, y_bar[:, None], train)
    return x_bar[:, 0], bars | {"w": bars["w"][0]}


def _row_init(name, init, key, shape, dtype):
    if len(shape) != 2:
        raise ValueError(f"{name}: input_shape: got {shape}, expected that of one sample, (L, C)")
    params = init(key, (1, *shape), dtype)
    return params | {"w": params["w"][0]}


def _chain(name: str, way: Way) -> Chain:
    return Chain(name, way.layers if isinstance(way, Chain) else way if isinstance(way, Iterable) else (way,))


def _parallel(name: str, ways: tuple[Chain, ...], join, plain, join_fwd, join_bwd) -> Layer:
    """y = join(way₁(x), way₂(x), …): `join` with its pair, and without it as `plain`."""
    return Layer(
        name,
        apply=Partial(_apply, ways, join),
        fwd=Partial(_forward, ways, join_fwd),
        bwd=Partial(_backward, ways, join_bwd),
        init=Partial(_init, ways),
        init_state=Partial(_init_state, ways),
        plain=Partial(_apply, tuple(way.without_rules() for way in ways), plain),
        inner=ways,
    )


def _each(call: str, ways, params, state, x, train, key):
    """What `call`, a method of `Chain`, returns of every way: outputs, the state after it, and what else there is."""
    results = []
    for way, k in zip(ways, _keys(ways, key), strict=True):
        options = {"state": state.get(way.name), "train": train, "key": k}
        results.append(getattr(way, call)(params[way.name], x, **options))
    ys, states, *rest = zip(*results, strict=True)
    return ys, _named(ways, states), *rest


def _apply(ways, join, params, state, x, train, key):
    ys, state = _each("apply_with_state", ways, params, state, x, train, key)
    return join(*ys), state


def _forward(ways, join_fwd, params, state, x, train, key):
    ys, state, residuals = _each("forward", ways, params, state, x, train, key)
    y, kept = join_fwd(*ys)
    return y, state, (residuals, kept)


def _backward(ways, join_bwd, residuals, y_bar, train):
    each, kept = residuals
    bars = zip(ways, each, join_bwd(kept, y_bar), strict=True)
    x_bars, params_bars = zip(*(way.backward(r, bar, train=train) for way, r, bar in bars), strict=True)
    return functools.reduce(operator.add, x_bars), _named(ways, params_bars)


def _init(ways, key, shape, dtype):
    keys = _keys(ways, key)
    return {way.name: way.init(k, shape, dtype) for way, k in zip(ways, keys, strict=True)}


def _init_state(ways, shape, dtype):
    return {way.name: way.init_state(shape, dtype) for way in ways}


def _keys(ways, key):
    return [None] * len(ways) if key is None else jax.random.split(key, len(ways))


def _named(ways: Iterable[Chain], values: Iterable[Any]) -> dict[str, Any]:
    return {way.name: value for way, value in zip(ways, values, strict=True)}


def _add(a: Array, b: Array) -> Array:
    if a.shape != b.shape:
        raise ValueError(f"residual: body: got samples of shape {a.shape[1:]}, expected {b.shape[1:]}, the shortcut's")
    return a + b


def _add_fwd(a, b):
    return _add(a, b), ()


def _add_bwd(residuals, y_bar):
    return y_bar, y_bar


@rule
def _weigh(x: Array, g: Array) -> Array:
    if g.shape != (x.shape[0], x.shape[-1]):
        raise ValueError(f"gated: gate: got samples of shape {g.shape[1:]}, expected {x.shape[-1:]}, one per channel")
    return x * _over_image(g, x)


@_weigh.def_fwd
def _weigh_fwd(x, g):
    return _weigh(x, g), (x, g)


@_weigh.def_bwd
def _weigh_bwd(residuals, y_bar):
    x, g = residuals
    wide = accumulation_dtype(x.dtype)
    g_bar = (y_bar.astype(wide) * x.astype(wide)).sum(axis=tuple(range(1, len(x.shape) - 1)))
    return y_bar * _over_image(g, x), g_bar.astype(g.dtype)


def _over_image(g, x):
    return g.reshape(g.shape[0], *[1] * (len(x.shape) - 2), g.shape[1])
