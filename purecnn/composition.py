"""Layers made of layers: each is a layer of a chain like any other, with an explicit forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from purecnn.chain import Chain, Layer


def residual(*body: Layer, shortcut: tuple[Layer, ...] = ()) -> Layer:
    """y = body(x) + shortcut(x): the residual block of He et al. 2015; an empty shortcut is x itself.

    Both see x, so both send it a cotangent: x̄ = body̅(ȳ) + shortcut̅(ȳ). Parameters and state are
    `{"body": […], "shortcut": […]}`.
    """
    ways = {"body": Chain("body", body), "shortcut": Chain("shortcut", shortcut)}

    def each(call: Callable[[str, Chain], Any]) -> dict[str, Any]:
        return {name: call(name, way) for name, way in ways.items()}

    def split(key):
        return dict(zip(ways, (None, None) if key is None else jax.random.split(key), strict=True))

    def add(outputs):
        a, b = outputs
        if a.shape != b.shape:
            raise ValueError(
                f"residual: body: got samples of shape {a.shape[1:]}, expected {b.shape[1:]}, the shortcut's"
            )
        return a + b

    def apply(params, state, x, train, key):
        keys = split(key)
        out = each(lambda n, way: way.apply_with_state(params[n], x, state=state.get(n), train=train, key=keys[n]))
        return add([y for y, _ in out.values()]), {n: s for n, (_, s) in out.items()}

    def forward(params, state, x, train, key):
        keys = split(key)
        out = each(lambda n, way: way.forward(params[n], x, state=state.get(n), train=train, key=keys[n]))
        y = add([y for y, _, _ in out.values()])
        return y, {n: s for n, (_, s, _) in out.items()}, {n: r for n, (_, _, r) in out.items()}

    def backward(residuals, y_bar, train):
        out = each(lambda n, way: way.backward(residuals[n], y_bar, train=train))
        return add([x_bar for x_bar, _ in out.values()]), {n: p for n, (_, p) in out.items()}

    def init(key, shape, dtype):
        keys = split(key)
        return each(lambda n, way: way.init(keys[n], shape, dtype))

    def init_state(shape, dtype):
        return each(lambda _, way: way.init_state(shape, dtype))

    return Layer("residual", apply, forward, backward, init, init_state)
