"""Rules on a mesh: what `custom_vjp` leaves to whoever writes the rule, done once for all of them.

A rule's body is written for one device. On a mesh three things are added around it:

*Explicit axes* (what `jax.make_mesh` makes): the sharding is part of an array's type, and a reshape, a loop or a
product that sums a sharded axis has no type there. `on_any_mesh` runs the body under `jax.sharding.auto_axes`, where
XLA propagates shardings by itself, and gives each result a type: a cotangent has its primal's, y and residuals have
the batch axis as x has it and the channels as the input with those channels has them.

*`shard_map`*: the manual axes along which an array varies are part of its type. lax casts a replicated operand of a
sum over images to "varying", and the transpose of that cast is the sum over devices. `cast_to_common` is the cast and
`like_primals` its transpose, so that a replicated weight's cotangent is the sum over the devices, as autodiff's is.

*Auto axes* and `pmap` need nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P


class Placement(NamedTuple):
    """The part of an array's type that says where it is."""

    mesh: Any  # the abstract mesh if it has explicit axes, else None
    spec: P
    varying: frozenset[str]


def placement(array: Any) -> Placement:
    aval: Any = jax.typeof(array)
    varying = aval.vma if hasattr(aval, "vma") else aval.mat.varying  # the name until JAX 0.9, and since
    sharding = getattr(aval, "sharding", None)
    if sharding is None or AxisType.Explicit not in sharding.mesh.axis_types:
        return Placement(None, P(), frozenset(varying))
    spec = P(*sharding.spec, *[None] * (len(aval.shape) - len(sharding.spec)))
    return Placement(sharding.mesh, spec, frozenset(varying))


def placements(arguments: Sequence[Any]) -> tuple[Placement | None, ...]:
    """One per argument; None for a `None`."""
    return tuple(None if a is None else placement(a) for a in arguments)


def cast_to_common(arrays: Any) -> Any:
    """`arrays`, each varying along all the manual axes that any of them varies along."""
    axes = frozenset().union(*(placement(a).varying for a in jax.tree.leaves(arrays)))
    return jax.tree.map(lambda a: _cast(a, axes), arrays) if axes else arrays


def like_primals(cotangents: Sequence[Any], primals: Sequence[Placement | None]) -> tuple[Any, ...]:
    """Each cotangent varying as its primal does: summed over the devices among which the primal does not vary."""

    def like(cotangent, primal):
        if cotangent is None or primal is None:
            return cotangent
        summed = tuple(sorted(placement(cotangent).varying - primal.varying))
        return _cast(lax.psum(cotangent, summed) if summed else cotangent, primal.varying)

    return tuple(map(like, cotangents, primals))


def on_any_mesh(
    function: Callable[..., Any], *arguments: Any, primals: Sequence[Placement | None] | None = None
) -> Any:
    """`function(*arguments)`, also where arguments are on a mesh with explicit axes.

    With `primals` the results are one cotangent (or None) for each of them, and take their shardings.
    """
    arrays = jax.tree.leaves(arguments)
    placed = [placement(a) for a in arrays]
    mesh = next((p.mesh for p in (*placed, *(primals or ())) if p is not None and p.mesh is not None), None)
    if mesh is None:
        return function(*arguments)
    out = jax.eval_shape(function, *jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), arguments))
    if primals is None:
        specs = jax.tree.map(lambda o: _spec_like(o.shape, arrays, placed), out)
    else:
        specs = tuple(None if o is None or p is None else p.spec for o, p in zip(out, primals, strict=True))
    shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=lambda s: isinstance(s, P))
    return jax.sharding.auto_axes(function, out_sharding=shardings)(*arguments)


def _spec_like(shape: tuple[Any, ...], arrays: Sequence[Any], placed: Sequence[Placement]) -> P:
    """The spec of an input of this shape; else batch and channels as the inputs with as many have them."""
    known = [(a.shape, p.spec) for a, p in zip(arrays, placed, strict=True) if p.mesh is not None]
    for like, spec in known:
        if like == shape:
            return spec
    axes: list[Any] = [None] * len(shape)
    if len(shape) > 1:
        axes[-1] = next((spec[-1] for like, spec in reversed(known) if len(like) > 1 and like[-1] == shape[-1]), None)
    if shape:
        batch = next((spec[0] for like, spec in known if like and like[0] == shape[0]), None)
        if batch is not None:
            axes[0] = batch
            taken = set(batch) if isinstance(batch, tuple) else {batch}
            last = axes[-1] if isinstance(axes[-1], tuple) else (axes[-1],)
            if len(shape) > 1 and taken & set(last):  # a mesh axis shards one axis of an array at most
                axes[-1] = None
    return P(*axes)


def _cast(array: Any, axes: frozenset[str]) -> Any:
    missing = tuple(sorted(axes - placement(array).varying))
    return lax.pcast(array, missing, to="varying") if missing else array
