"""Every cotangent, element by element, against reverse-mode autodiff in float64.

For y = f(x) and a cotangent ȳ the rule must return x̄ = (∂f/∂x)ᵀ ȳ. With a random ȳ each element of x̄ is a different
random combination of that element's partial derivatives, so an element is right by chance with probability zero; and
since elements are compared one by one, one wrong among a million is as visible as a million.

The rule is run in float64, where only a few roundoffs separate it from the oracle, and again at its own dtype.
Without a reference, an element that disagrees at a kink is right if it lies between the one-sided slopes.
"""

import numpy as np

from verify.case import Case
from verify.oracle import kinks
from verify.oracle.compare import finding, wrong_elements
from verify.oracle.tolerance import allowed_error, unit_roundoff
from verify.report.finding import Finding, NotRunError
from verify.running import OWN, WIDE

NAME = "gradient"
EVERY_CASE = True


def findings(case: Case) -> list[Finding]:
    if not usable(case):
        raise NotRunError("the oracle itself is not finite here")
    try:
        wide = case.wide[1]
    except NotRunError:
        wide = None
    found = []
    if wide is not None:
        found = _at(case, WIDE, wide, case.narrowest)
    if not found and (wide is None or not case.reshaped) and not case.flushed:
        found = _at(case, OWN, case.own[1], unit_roundoff(case.subject.dtype))
    return found


def usable(case: Case) -> bool:
    """The oracle is finite, with room to spare at the example's own dtype."""
    limit = 1e300 if case.subject.dtype == WIDE else float(np.finfo(np.float32).max) / 1e6
    if case.subject.dtype == np.float16:
        limit = 6e4 / 16
    values = [*case.truth.cotangents, *[y for y in case.truth.outputs if y.dtype == WIDE]]
    return all(np.all(np.isfinite(v)) and np.abs(v).max(initial=0) < limit for v in values)


def _at(case: Case, level: object, got: list[np.ndarray], unit: float) -> list[Finding]:
    truth, found = case.truth, []
    for k, (name, e, g, m) in enumerate(zip(case.names, truth.cotangents, got, truth.magnitudes, strict=True)):
        if e.shape != g.shape:
            text = f"the cotangent's shape is {g.shape}, expected {e.shape}"
            found.append(Finding(NAME, name, None, None, None, "shape", text, case.label))
            continue
        dtype = WIDE if level is WIDE else case.arrays[case.perturbed[k]].dtype
        allowed = allowed_error(m, dtype) * _narrowing(case, unit / unit_roundoff(dtype))
        bad = wrong_elements(e, g, allowed)
        if bad.any() and level is OWN and case.subject.dtype != WIDE:
            bad &= wrong_elements(_autodiff(case, k), g, allowed)
        bad = kinks.unexplained(case, k, level, bad)
        if bad.any():
            primal = case.arrays[case.perturbed[k]]
            found.append(finding(NAME, case, name, e, g, bad, allowed, primal=primal))
    return found


def _autodiff(case: Case, k: int) -> np.ndarray:
    """The oracle at the rule's own dtype: on which side of a kink an intermediate value falls is decided there."""
    flat = case.subject.oracle(case.options)
    try:
        return np.asarray(case.pull(OWN, case.y_bar, flat, "autodiff")[1][k], np.float64)
    except Exception:
        return np.full(case.arrays[case.perturbed[k]].shape, np.nan)


def _narrowing(case: Case, ratio: float) -> float:
    """How much more to allow a rule that casts to a narrower type inside. The magnitudes of reshaped cases already
    are generous by several digits, which need not be given twice."""
    return max(1.0, ratio / 1e4 if case.reshaped else ratio)
