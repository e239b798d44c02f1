"""Functions that search for a root, by bisection or Newton's method, and generated calls that have none.

The search then ends at the end of its interval, where the function is constant, and the implicit derivative divides by
a slope that is 0 there. No such call was promised.
"""

from collections.abc import Sequence

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.noise import SIZES
from verify.oracle.primal import equations, scan_parts
from verify.oracle.tolerance import any_true
from verify.report.finding import NotRunError

WHY = "a search inside the function ends without a solution"


def refuse_unsolved(
    case: CallUnderTest, got: Sequence[np.ndarray], differing: Sequence[np.ndarray] | None = None
) -> None:
    """Raise NotRunError at a generated call where the cotangents `got` are not finite, or `differing`, in elements
    alone that the oracle says are 0, of a function with a loop that is given nothing but its state. Of a function whose
    autodiff is 0 in the example, too, as that of a bisection is, autodiff says nothing of finite ones."""
    if case.example or not searches(case):
        return
    infinite = [~np.isfinite(np.asarray(g, np.float64)) for g in got]
    bad = infinite if differing is None else differing
    if not any_true(bad) or any(e.shape != b.shape for e, b in zip(case.truth.cotangents, bad, strict=True)):
        return
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
