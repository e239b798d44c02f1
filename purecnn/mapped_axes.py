"""Sums over the devices along an axis of `pmap` or `shard_map`, or over the members of a named `vmap`, in a rule.

Such a sum has different kinds of cotangents. Under `pmap` and `vmap`, and in `shard_map` without checks, each device
has a copy of the sum and gets the cotangent of its copy; the cotangent of the sum is the sum of those. If `shard_map`
knows that the summands vary along the axis, it knows that their sum does not: there is one cotangent, which all
devices get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import jaxpr_as_fun

from purecnn.shardings import placement

AxisName = str | tuple[str, ...] | None


def device_count(layer: str, axis_name: AxisName) -> int:
    """How many devices there are along the axis (or axes); 1 for None. ValueError where there is no such axis."""
    missing = [name for name in _names(axis_name) if not _is_bound(name)]
    if missing:
        expected = "expected an axis that pmap, shard_map or vmap maps over here"
        raise ValueError(f"{layer}: axis_name: got {axis_name!r}, {expected}")
    return 1 if axis_name is None else lax.axis_size(axis_name)


def sum_of_devices(arrays: Any, axis_name: AxisName) -> Any:
    """Σ over the devices along the axis, which all of them get."""
    return arrays if axis_name is None else lax.psum(arrays, axis_name)


def own_copies(sums: Any, axis_name: AxisName, x: Any, y: Any) -> Any:
    """`sums` over the devices, of values computed from `x`, as outputs of a rule that also has an output `y`.

    `vmap` knows that its members share a sum, and would give the rule one cotangent of the shared sum beside each
    member's own cotangent of y. A selection between the sum and an entry of y makes it each member's own.
    """
    if not _copied(axis_name, x):
        return sums
    other = y[(0,) * (len(y.shape) - 1)]
    return jax.tree.map(lambda s: jnp.where(jnp.ones(s.shape, bool), s, other.astype(s.dtype)), sums)


def sum_of_copies(cotangents: Any, axis_name: AxisName, x: Any) -> Any:
    """The cotangents of sums over the devices, of values computed from `x`, from the cotangents that a device gets."""
    copied = _copied(axis_name, x)
    return lax.psum(cotangents, copied) if copied else cotangents


def mapped_axes(options: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """The axes that a rule with these options sums over, and their sizes, as far as they are mapped over here."""
    names = _names(options.get("axis_name"))
    return tuple((name, lax.axis_size(name)) for name in names if _is_bound(name))


def within(axes: tuple[tuple[str, int], ...], function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, where it can sum over `axes`.

    The gradient of a `vmap` runs a rule's pair when the `vmap` has ended and its name is unknown, though the arguments
    are still its own: there the function is traced with the names, and the trace run on the arguments.
    """
    missing = [(name, size) for name, size in axes if not _is_bound(name)]
    if not missing:
        return function(*arguments)
    traced, shapes = jax.make_jaxpr(function, axis_env=missing, return_shape=True)(*arguments)
    return jax.tree.unflatten(jax.tree.structure(shapes), jaxpr_as_fun(traced)(*jax.tree.leaves(arguments)))


def _copied(axis_name: AxisName, x: Any) -> tuple[str, ...]:
    """The axes along which each device has a copy of a sum of what was computed from `x`."""
    return tuple(name for name in _names(axis_name) if name not in placement(x).varying)


def _names(axis_name: AxisName) -> tuple[str, ...]:
    return () if axis_name is None else axis_name if isinstance(axis_name, tuple) else (axis_name,)


def _is_bound(name: str) -> bool:
    try:
        lax.axis_size(name)
    except NameError:
        return False
    return True
