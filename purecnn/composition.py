"""Layers made of chains: each is a layer of a chain like any other, with an explicit forward and backward pass."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from purecnn.annotations import Array
from purecnn.chain import Chain, Layer
from purecnn.rules import shape_carrier
from purecnn.signatures import Partial


def residual(*body: Layer, shortcut: tuple[Layer, ...] = ()) -> Layer:
    """y = body(x) + shortcut(x): the residual block of He et al. 2015; an empty shortcut is x itself.

    Both see x, so both send it a cotangent: x̄ = body̅(ȳ) + shortcut̅(ȳ). Parameters and state are
    `{"body": […], "shortcut": […]}`.
    """
    return _parallel("residual", (Chain("body", body), Chain("shortcut", tuple(shortcut))), _add, _to_each)


def branches(*ways: Chain | tuple[Layer, ...]) -> Layer:
    """y = way₁(x), way₂(x), … side by side along the last axis, the channels: Inception's and DenseNet's block.

    A way is a chain or a tuple of layers; an empty one is x itself. Each is sent its channels of ȳ, and each sends x a
    cotangent: x̄ = Σᵢ wayᵢ̅(ȳᵢ). Parameters and state are `{"0": […], "1": […], …}`. Raises ValueError without a way, or
    where outputs differ in more than their channels.
    """
    if not ways:
        raise ValueError("branches: ways: got none, expected at least one")
    layers = (way.layers if isinstance(way, Chain) else tuple(way) for way in ways)
    return _parallel("branches", tuple(Chain(str(i), way) for i, way in enumerate(layers)), _concatenate, _split)


def _parallel(name: str, ways: tuple[Chain, ...], join: Callable[..., Array], share: Callable[..., Any]) -> Layer:
    """y = join(the outputs of all ways, each of x); `share(outputs' shapes, ȳ)` is what reaches each of them."""
    plain = tuple(way.without_rules() for way in ways)
    return Layer(
        name,
        apply=Partial(_apply, ways, join),
        fwd=Partial(_forward, ways, join),
        bwd=Partial(_backward, ways, share),
        init=Partial(_init, ways),
        init_state=Partial(_init_state, ways),
        plain=Partial(_apply, plain, join),
        inner=ways,
    )


def _each(call: str, ways, join, params, state, x, train, key):
    """The joined output, the state after it, and what else `call`, a method of `Chain`, returns of every way."""
    outputs = []
    for way, k in zip(ways, _keys(ways, key), strict=True):
        options = {"state": state.get(way.name), "train": train, "key": k}
        outputs.append(getattr(way, call)(params[way.name], x, **options))
    ys, states, *rest = zip(*outputs, strict=True)
    return ys, join(ys), _named(ways, states), *rest


def _apply(ways, join, params, state, x, train, key):
    return _each("apply_with_state", ways, join, params, state, x, train, key)[1:]


def _forward(ways, join, params, state, x, train, key):
    ys, y, state, residuals = _each("forward", ways, join, params, state, x, train, key)
    return y, state, (residuals, tuple(map(shape_carrier, ys)))


def _backward(ways, share, kept, y_bar, train):
    bars = [
        way.backward(residuals, bar, train=train)
        for way, residuals, bar in zip(ways, kept[0], share(kept[1], y_bar), strict=True)
    ]
    x_bars, params_bars = zip(*bars, strict=True)
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


def _add(ys: Sequence[Array]) -> Array:
    a, b = ys
    if a.shape != b.shape:
        raise ValueError(f"residual: body: got samples of shape {a.shape[1:]}, expected {b.shape[1:]}, the shortcut's")
    return a + b


def _to_each(shapes, y_bar):
    return [y_bar] * len(shapes)


def _concatenate(ys: Sequence[Array]) -> Array:
    for i, y in enumerate(ys):
        if y.shape[:-1] != ys[0].shape[:-1]:
            expected = f"{ys[0].shape[1:-1]} before the channels, as way 0's"
            raise ValueError(f"branches: way {i}: got samples of shape {y.shape[1:]}, expected {expected}")
    return jnp.concatenate(ys, axis=-1)


def _split(shapes, y_bar):
    ends = itertools.accumulate(shape.shape[-1] for shape in shapes)
    return jnp.split(y_bar, list(ends)[:-1], axis=-1)
