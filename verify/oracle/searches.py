"""Functions that search for a root, by bisection or Newton's method, and generated calls that have none.

The search then ends at the end of its interval, where the function is constant, and the implicit derivative divides by
a slope that is 0 there. Or Newton's method goes to and fro, and more steps would end elsewhere. No such call was
promised.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.noise import SIZES
from verify.oracle.primal import CALLS, TRANSPARENT, bind, equations, inner, is_call, kept, scan_parts, walk
from verify.oracle.tolerance import any_true, largest
from verify.report.finding import NotRunError
from verify.running import WIDE, call, is_float, quickly, traced

CONVERGED = 1e-6  # of the largest value: what more steps change
INDEXING = {"dynamic_slice", "dynamic_update_slice", "gather", "scatter", "scatter-add"}
WHY = "a search inside the function ends without a solution"


def refuse_unsolved(
    case: CallUnderTest, got: Sequence[np.ndarray], differing: Sequence[np.ndarray] | None = None
) -> None:
    """Raise NotRunError at a generated call where the cotangents `got` are not finite, or `differing`, in elements
    alone that the oracle says are 0, of a function with a loop that is given nothing but its state; or where its steps,
    a fixed number of which had converged in the example, have not here. Of a function whose autodiff is 0 in the
    example, too, as that of a bisection is, autodiff says nothing of finite ones."""
    if case.example or not searches(case):
        return
    infinite = [~np.isfinite(np.asarray(g, np.float64)) for g in got]
    bad = infinite if differing is None else differing
    if not any_true(bad) or any(e.shape != b.shape for e, b in zip(case.truth.cotangents, bad, strict=True)):
        return
    if _stopped_early(case):
        raise NotRunError(WHY)
    if case.on_the_boundary and any_true(infinite):  # a price of 0, which no volatility has
        raise NotRunError(WHY)
    sizes = case.tested.compiled.get(SIZES, [0.0] * len(bad))
    flat = [not e[b & np.isfinite(e)].any() for e, b in zip(case.truth.cotangents, bad, strict=True)]
    known = [size > 0 or not (b & ~i).any() for size, b, i in zip(sizes, bad, infinite, strict=True)]
    if all(flat) and all(known):
        raise NotRunError(WHY)


def searches(case: CallUnderTest) -> bool:
    """Whether a loop of the function is given nothing but its state."""
    if not case.tested.primitives & {"while", "scan"}:
        return False
    try:
        found = list(equations(case.trace[0]))
    except Exception:
        return False
    scans = [e for e in found if e.primitive.name == "scan"]
    return any(e.primitive.name == "while" for e in found) or any(not scan_parts(e, e.invars)[2] for e in scans)


def _stopped_early(case: CallUnderTest) -> bool:
    """Whether more steps of the loops change the values here, and none of the example's, at the same sizes."""
    if case.reshaped:
        return False
    example = replace(case, arrays=case.tested.example, options={})
    try:
        return not _moved_by_more_steps(case) <= CONVERGED and _moved_by_more_steps(example) <= CONVERGED
    except Exception:  # what does not run in float64
        return False


def _moved_by_more_steps(case: CallUnderTest) -> float:
    """How far twice as many steps and one move the values, relative to the largest."""
    flat = case.tested.flat(case.tested.rule, case.options)
    run = quickly(lambda arrays: [o for o in flat(*arrays) if is_float(o)])
    closed = traced(run, WIDE, case.at(WIDE))
    longer = quickly(lambda arrays: _twice(closed, arrays))
    pairs = list(zip(*(call(r, WIDE, case.at(WIDE)) for r in (run, longer)), strict=True))
    return max((largest(np.asarray(b) - np.asarray(a)) / (largest(a) or 1.0) for a, b in pairs), default=0.0)


def _twice(closed: Any, args: Sequence[Any]) -> list[Any]:
    """The program with twice as many steps, and one, of each loop that is given and returns nothing but its state. One
    that counts blocks of an array, as kernels do, is left as it is."""

    def equation(eqn, values):
        if is_call(eqn, CALLS):
            return _twice(kept(eqn, CALLS), values)
        if eqn.primitive.name in TRANSPARENT:
            return _twice(inner(eqn), values)
        params = eqn.params
        if eqn.primitive.name == "scan":
            _, carry, over = scan_parts(eqn, values)
            indexed = INDEXING & {e.primitive.name for e in equations(params["jaxpr"])}
            if not over and not indexed and len(carry) == len(eqn.outvars):
                params = {**params, "length": 2 * params["length"] + 1}  # odd: it may go to and fro between two
        return bind(eqn, values, params)

    return walk(closed, args, equation)
