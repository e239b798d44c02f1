"""Another backward rule on purpose: the same function forward, something else backward.

    guided_relu = purecnn.with_backward(purecnn.relu, lambda residuals, y_bar, **options: …)
    layer = purecnn.with_backward(layer, lambda residuals, y_bar, train: …)

The result is a rule, or a layer of a chain, like the original; `jax.grad`, `Chain.backward` and `backprop`
all use the new backward rule. It need not be a derivative of the function; `verify.check` says whether it is.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from purecnn.chain import Layer
from purecnn.cotangents import compared, given_to
from purecnn.rules import Rule, with_pair
from purecnn.signatures import Partial, several

Replaceable = TypeVar("Replaceable", Layer, Rule)


def with_backward(
    original: Replaceable, bwd: Callable[..., Any], *, fwd: Callable[..., Any] | None = None
) -> Replaceable:
    """`original` with `bwd` for its backward rule, and, if given, `fwd` for the forward rule that feeds it.

    Of a rule such as `purecnn.conv2d`: `bwd(residuals, y_bar, **options)` returns one cotangent per positional
    argument, as `conv2d_bwd` does, from the residuals of `conv2d_fwd`. Of a layer of a chain:
    `bwd(residuals, y_bar, train)` returns the input's cotangent and a dict of the parameters', as `layer.bwd` does. A
    new `fwd` has the signature of `conv2d_fwd` or `layer.fwd` and may keep other residuals; its y is not changed.

    Residuals of parameters can be replaced before the old rule is called. Feedback alignment (Lillicrap et al. 2016)
    sends ȳ back through fixed random weights and leaves w̄ alone:

        def bwd(residuals, y_bar, train):
            x, w, b = residuals
            return layer.bwd((x, random_weights(w.shape), b), y_bar, train)

    Raises TypeError where `original` is neither.
    """
    if isinstance(original, Layer):
        return _layer(original, fwd or original.fwd, bwd)
    if isinstance(original, Rule):
        return with_pair(original, fwd or original.fwd, bwd)
    raise TypeError(
        f"with_backward: original: got {type(original).__name__}, expected a rule of purecnn or a layer of a chain"
    )


def _layer(original: Layer, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> Layer:
    """The new pair in `fwd` and `bwd` for the two lists, and joined in `apply` for `jax.grad`."""
    plain = original.plain or original.apply
    apply = Partial(_apply, original.name, original.apply, fwd, bwd)
    return dataclasses.replace(original, apply=apply, fwd=fwd, bwd=bwd, plain=plain)


def _apply(name, apply, fwd, bwd, params, state, x, train, key):  # a function, which pickles; a custom_vjp does not
    return _joined(name, apply, fwd, bwd, params, state, x, train, key)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3, 7))
def _joined(name, apply, fwd, bwd, params, state, x, train, key):
    return apply(params, state, x, train, key)


def _joined_fwd(name, apply, fwd, bwd, params, state, x, train, key):
    y, new_state, residuals = fwd(params, state, x, train, key)
    return (y, new_state), (residuals, given_to(x, params))


def _joined_bwd(name, apply, fwd, bwd, train, kept, bars):
    # Nothing flows back through running statistics.
    residuals, given = kept
    try:
        x_bar, params_bar = compared(given, *several("bwd", bwd(residuals, bars[0], train), "x_bar, params_bar"))
    except (ValueError, TypeError) as error:
        error.args = (f"{name}: {error}",)
        raise
    return params_bar, None, x_bar, None


_joined.defvjp(_joined_fwd, _joined_bwd)
