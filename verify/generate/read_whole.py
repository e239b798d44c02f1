"""Sizes of an axis of which the function reads every entry by its position in the example, and not here.

The singular values s[0] + s[1] + s[2] of matrices of three, and the steps flow[..., 0] and flow[..., 1] of a plane, are
all there are; the function takes longer axes, and leaves their last entries alone, for which it is not made.
"""

from typing import Any

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.primal import equations


def reads_less(case: CallUnderTest) -> bool:
    """Whether fewer axes are read as a whole here, entry by entry, than in the example."""
    example = [jax.ShapeDtypeStruct(np.shape(a), jax.numpy.result_type(a)) for a in case.tested.example]
    try:
        oracle = case.tested.oracle(case.options)
        before, here = (_read_whole(equations(jax.make_jaxpr(oracle)(*a))) for a in (example, case.arrays))
    except Exception:  # it cannot be traced, which `contract` says
        return False
    return here < before


def _read_whole(eqns: Any) -> int:
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
