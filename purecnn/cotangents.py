"""The cotangents that a layer's backward rule returns, compared with what its forward rule was given.

Without the comparison a wrong shape is an error of JAX in the next layer, or none where it broadcasts, and a parameter
whose cotangent is missing is not trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import keystr, tree_flatten_with_path

from purecnn.masks import NO_MASKS, Masks


@jax.tree_util.register_static
@dataclass(frozen=True)
class Given:
    """What the shapes of cotangents follow from: the input of a layer, and its parameters by their names."""

    shape: tuple[Any, ...]
    dtype: Any
    params: tuple[tuple[str, tuple[Any, ...], Any], ...]  # name, shape, dtype
    structure: Any


class ChainResiduals(list):
    """The residuals of every layer, a list; `given` says what every layer was given, and at its end what y is like,
    `masks` which layers have a ReLU's mask for it."""

    given: tuple[Given, ...]
    masks: Masks

    def __init__(self, residuals: Iterable[Any], given: tuple[Given, ...], masks: Masks = NO_MASKS) -> None:
        super().__init__(residuals)
        self.given, self.masks = given, masks


jax.tree_util.register_pytree_node(
    ChainResiduals, lambda kept: (kept, (kept.given, kept.masks)), lambda known, kept: ChainResiduals(kept, *known)
)


def given_to(x: Any, params: Any) -> Given:
    """Of a layer's input and parameters; static."""
    leaves, structure = tree_flatten_with_path(params)
    named = tuple((_name(path), jax.typeof(leaf).shape, jax.typeof(leaf).dtype) for path, leaf in leaves)
    return Given(tuple(x.shape), x.dtype, named, structure)


def like_given(residuals: Any, i: int, y_bar: Any, cotangents: Sequence[Any]) -> tuple[Any, Any]:
    """x̄ and the parameters' cotangents of layer i; a None is 0, as in `jax.grad`.

    Raises ValueError where they are not like the layer's input and parameters. Residuals that were put together by
    hand say nothing of these, and those of a part of a batch nothing of its size.
    """
    if not isinstance(residuals, ChainResiduals):
        return cotangents[0], cotangents[1]
    given, y = residuals.given[i : i + 2]
    return compared(given, *cotangents, whole=tuple(y_bar.shape) == y.shape)


def compared(given: Given, x_bar: Any, params_bar: Any, *, whole: bool = True) -> tuple[Any, Any]:
    """The same of one layer; `whole` says whether they are of the batch that the forward rule was given."""
    expected = given.shape if whole or x_bar is None else (*jnp.shape(x_bar)[:1], *given.shape[1:])
    if x_bar is None:
        x_bar = jnp.zeros(expected, given.dtype)
    if jnp.shape(x_bar) != expected:
        raise ValueError(f"bwd: x_bar: got shape {jnp.shape(x_bar)}, expected {given.shape}, that of x")
    if jnp.result_type(x_bar) != given.dtype:  # or the layer before it is blamed
        raise TypeError(f"bwd: x_bar: got {jnp.result_type(x_bar)}, expected {given.dtype}, the dtype of x")
    found = {_name(path): bar for path, bar in tree_flatten_with_path(params_bar, is_leaf=lambda bar: bar is None)[0]}
    names = [name for name, *_ in given.params]
    got = [name or "an array" for name, bar in found.items() if name in names or bar is not None]
    if sorted(got) != sorted(names):
        listed = [", ".join(each) or "none" for each in (got, names)]
        raise ValueError(f"bwd: params_bar: got {listed[0]}, expected {listed[1]}, as the layer's parameters")
    bars = []
    for name, shape, dtype in given.params:
        bar = found[name]
        bars.append(jnp.zeros(shape, dtype) if bar is None else bar)
        if jnp.shape(bars[-1]) != shape:
            raise ValueError(f"bwd: params_bar: {name}: got shape {jnp.shape(bars[-1])}, expected {shape}")
    return x_bar, jax.tree.unflatten(given.structure, bars)


def _name(path: Any) -> str:
    return keystr(path, simple=True, separator=".")
