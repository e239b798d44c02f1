"""Sizes that the function takes by accident, and otherwise than the example's.

It broadcasts what it does not in the example: the even and the odd rows of 3 are 2 and 1, and their sum is defined, as
it is not of 5 rows. The function takes an even number of rows, and a rule that puts them back is written for that.

It reads every entry of an axis by its position in the example, and not here: the singular values s[0] + s[1] + s[2] of
matrices of three, and the steps flow[..., 0] and flow[..., 1] of a plane, are all there are. The function takes longer
axes and leaves their last entries alone, for which it is not made.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.primal import equations

ELEMENTWISE = {"add", "sub", "mul", "div", "max", "min", "pow", "atan2", "select_n", "eq", "ne", "lt", "le", "gt", "ge"}


def spreads_more(case: CallUnderTest) -> bool:
    """Whether more operations spread an axis of 1 over a longer one here than in the example, which has no axis of 1
    itself."""
    if any(1 in np.shape(a) for a in case.tested.example):
        return False
    in_example, here = _counts(case, lambda eqns: sum(map(_spreads, eqns)))
    return here > in_example


def reads_less(case: CallUnderTest) -> bool:
    """Whether fewer axes are read as a whole here, entry by entry, than in the example."""
    in_example, here = _counts(case, _read_whole)
    return here < in_example


def _counts(case: CallUnderTest, count: Callable[[Sequence[Any]], int]) -> tuple[int, int]:
    """`count` of the function's equations in the example, with the options of this case, and here."""
    example = [jax.ShapeDtypeStruct(np.shape(a), jax.numpy.result_type(a)) for a in case.tested.example]
    oracle = case.tested.oracle(case.options)
    try:
        in_example, here = (count(equations(jax.make_jaxpr(oracle)(*arrays))) for arrays in (example, case.arrays))
    except Exception:  # it cannot be traced, which `contract` says
        return 0, 0
    return in_example, here


def _spreads(eqn: Any) -> bool:
    if eqn.primitive.name not in ELEMENTWISE:
        return False
    shape = eqn.outvars[0].aval.shape
    operands = [v.aval.shape for v in eqn.invars if len(v.aval.shape) == len(shape)]
    return any(old == 1 != new for operand in operands for old, new in zip(operand, shape, strict=True))


def _read_whole(eqns: Sequence[Any]) -> int:
    """How many axes of two or more entries are read by slices of one entry each, all of them."""
    read: dict[tuple[int, int], set[int]] = {}
    lengths = {}
    for eqn in eqns:
        if eqn.primitive.name != "slice":
            continue
        shape, starts, limits = eqn.invars[0].aval.shape, eqn.params["start_indices"], eqn.params["limit_indices"]
        cut = [k for k, size in enumerate(shape) if limits[k] - starts[k] < size]
        if len(cut) == 1 and limits[cut[0]] - starts[cut[0]] == 1:
            axis = id(eqn.invars[0]), cut[0]
            read.setdefault(axis, set()).add(starts[cut[0]])
            lengths[axis] = shape[cut[0]]
    return sum(len(entries) == lengths[axis] for axis, entries in read.items())
