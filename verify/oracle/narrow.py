"""Floating types narrower than the call's own: what a program rounds to inside, on purpose."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.oracle.primal import equations
from verify.oracle.tolerance import ROOM, largest, unit_roundoff

LOOPS = {"scan", "while"}
WORSE_IN_LOOPS = 10.0  # than autodiff of what loops, and roundoffs of the largest element that are no fault
HALF = 2  # bytes; what rounds to 8 bits is a quantiser, whose derivative does not


def roundoffs(closed: Any) -> list[float]:
    """Unit roundoffs of the floating types that meet another one somewhere in a program; a type alone, such as that of
    a counter in float32, rounds nothing that is returned."""
    units = []
    for eqn in equations(closed):
        dtypes = {v.aval.dtype for v in (*eqn.invars, *eqn.outvars) if hasattr(v.aval, "dtype")}
        floats = {jnp.finfo(d).dtype for d in dtypes if jnp.issubdtype(d, jnp.inexact)}  # complex: that of its parts
        units += [unit_roundoff(d) for d in floats if len(floats) > 1 and d.itemsize >= HALF]
    return units


def mixed(flat: Any, arrays: Any) -> float:
    """The unit roundoff that a function asks for itself, as mixed precision does: its products in bfloat16 of float32
    arguments. Autodiff rounds its cotangents to the same. Of one roundoff of each operation nothing is asked, and
    no more room is needed: the rule rounds the same numbers."""
    return max(roundoffs(jax.make_jaxpr(flat)(*arrays)), default=0.0) / ROOM


def in_loops(
    case: Any, exact: list[np.ndarray], room: list[np.ndarray], unit: float, autodiff: Callable[[], list | None]
) -> list[np.ndarray]:
    """`room`, what the error analysis allows, but of a function that loops: there each step may round what all others
    did, and a thousand steps may lose everything. So it may be much worse than autodiff, and is allowed ten times that.
    """
    theirs = autodiff() if LOOPS & case.tested.primitives else None
    if theirs is None:
        return room
    lost = [largest(a - e) if a.shape == e.shape else np.inf for a, e in zip(theirs, exact, strict=True)]
    most = [WORSE_IN_LOOPS * max(n, unit * largest(e)) for n, e in zip(lost, exact, strict=True)]
    return [np.minimum(r, m) if np.isfinite(m) else r for r, m in zip(room, most, strict=True)]
