"""Calls at which the function returns a number that it holds in place of infinity, as a loss of 1e30 is for labels that
no path of that length spells: no derivative is meant there."""

from typing import Any

import jax
import numpy as np
from jax.extend import core

from verify.call_under_test import CallUnderTest
from verify.oracle.primal import equations
from verify.running import is_float

LARGE = 1e8  # numbers from here on stand for infinity
PART = 1e-3  # of such a number: in a mean of that many it still shows


def valueless(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether an output is of that size here, and none in the example."""
    smallest = _smallest(example)
    return bool(smallest) and _largest(case) >= PART * smallest > _largest(example)


def _smallest(example: CallUnderTest) -> float:
    """The smallest number that stands for infinity in the function's program; 0 where there is none."""
    found = example.tested.compiled
    key = ("stands for infinity", repr(sorted(example.options.items())))
    if key not in found:
        try:
            closed = jax.make_jaxpr(example.tested.oracle(example.options))(*example.arrays)
            numbers = [abs(float(v.val)) for e in equations(closed) for v in e.invars if _number(v)]
        except Exception:  # it cannot be traced, which `contract` says
            numbers = []
        found[key] = min((n for n in numbers if LARGE <= n < np.inf), default=0.0)
    return found[key]


def _number(v: Any) -> bool:
    return isinstance(v, core.Literal) and np.ndim(v.val) == 0 and is_float(v.aval)


def _largest(case: CallUnderTest) -> float:
    try:
        return max((float(np.abs(y).max(initial=0)) for y in case.truth.outputs if is_float(y)), default=0.0)
    except Exception:  # it has no derivative here
        return 0.0
