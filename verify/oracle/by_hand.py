"""Whether a function holds a rule at all that somebody wrote.

Of a function that holds none, autodiff is the derivative: where its formula overflows in a narrow dtype, autodiff does
so with it, as ∞ · 0 where a distribution function saturates. That is worth a note, and no rule's fault.
"""

import os
from typing import Any

import jax

from verify.call_under_test import CallUnderTest
from verify.oracle.instances import INSTANCE
from verify.oracle.primal import CALLS, equations, is_call

JAX = os.path.join(os.path.dirname(jax.__file__), "")  # the folder of its files


def plain(case: CallUnderTest) -> bool:
    """Whether no rule but JAX's own is in the function, as `jax.nn.relu` has one, and no reference beside it."""
    if case.tested.reference is not None or INSTANCE in case.tested.primitives:
        return False
    key = ("plain", repr(sorted(case.options.items())))
    if key not in case.tested.compiled:
        closed = jax.make_jaxpr(case.tested.flat(case.tested.rule, case.options))(*case.arrays)
        case.tested.compiled[key] = all(not is_call(e, CALLS) or _of_jax(e) for e in equations(closed))
    return case.tested.compiled[key]


def _of_jax(eqn: Any) -> bool:
    info = getattr(getattr(eqn.params.get("call_jaxpr"), "jaxpr", None), "debug_info", None)
    return str(getattr(info, "func_filename", "")).startswith(JAX)
