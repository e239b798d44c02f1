"""Sizes at which the function broadcasts by accident what it does not in the example.

The even and the odd rows of 3 are 2 and 1, and their sum is defined, as it is not of 5 rows: the function takes an even
number of rows, and a rule that puts them back is written for that.
"""

from typing import Any

import jax

from verify.call_under_test import CallUnderTest
from verify.oracle.primal import equations

ELEMENTWISE = {"add", "sub", "mul", "div", "max", "min", "pow", "atan2", "select_n", "eq", "ne", "lt", "le", "gt", "ge"}


def spreads_more(case: CallUnderTest) -> bool:
    """Whether more operations spread an axis of 1 over a longer one here than in the example, which has no axis of 1
    itself."""
    example = [jax.ShapeDtypeStruct(jax.numpy.shape(a), jax.numpy.result_type(a)) for a in case.tested.example]
    if any(1 in a.shape for a in example):
        return False
    try:
        oracle = case.tested.oracle(case.options)
        before, here = (sum(map(_spreads, equations(jax.make_jaxpr(oracle)(*a)))) for a in (example, case.arrays))
    except Exception:  # it cannot be traced, which `contract` says
        return False
    return here > before


def _spreads(eqn: Any) -> bool:
    if eqn.primitive.name not in ELEMENTWISE:
        return False
    shape = eqn.outvars[0].aval.shape
    operands = [v.aval.shape for v in eqn.invars if len(v.aval.shape) == len(shape)]
    return any(old == 1 != new for operand in operands for old, new in zip(operand, shape, strict=True))
