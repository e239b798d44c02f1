"""What running a program takes, estimated from its jaxpr: so that sizes are chosen before anything runs."""

import math
from collections.abc import Iterator
from typing import Any


def operations(closed: Any) -> float:
    """Floating-point operations, near enough: products two for each pair, anything else one for each element that it
    reads or writes. A `scan` runs as often as it says, a `while` once for want of knowing."""
    jaxpr = getattr(closed, "jaxpr", closed)
    return sum(_of(eqn) for eqn in jaxpr.eqns)


def _of(eqn: Any) -> float:
    inner = list(_inner(eqn.params))
    if eqn.primitive.name == "cond":
        return max((operations(j) for j in inner), default=0.0)
    if inner:
        return eqn.params.get("length", 1) * sum(operations(j) for j in inner)
    written = sum(_size(v) for v in eqn.outvars)
    if eqn.primitive.name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        return 2.0 * written * math.prod(eqn.invars[0].aval.shape[d] for d in contracted)
    if eqn.primitive.name == "conv_general_dilated":
        kernel = eqn.invars[1].aval.shape
        return 2.0 * written * math.prod(kernel) / kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
    window = math.prod(eqn.params.get("window_dimensions", ()))
    return window * written + sum(_size(v) for v in eqn.invars)


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    for value in params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if hasattr(getattr(part, "jaxpr", part), "eqns"):
                yield part


def _size(variable: Any) -> int:
    return math.prod(getattr(variable.aval, "shape", ()))
