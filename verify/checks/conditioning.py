"""Saturation: at logits of ±100 and ±800 a rule must still be finite, and no worse than the problem demands. The same
is asked of numbers far from zero, whose squares leave no digit to their differences.

exp(100) overflows float32, and 1 - σ(20) keeps no digit: a rule that exponentiates before it subtracts the maximum,
or takes the logarithm of a probability, is exact on paper and useless here. Three yardsticks: the error that the
oracle's own evaluation would make at this dtype (its magnitude, and twice what autodiff really lost); one
roundoff of the cotangent, since y(1 - y) may come out as 0 where the truth is 1e-40; and the output's rounding, which
enters an exponent where the rule works from y = log ∑ exp x: exp(x - y) is off by u |y|.

Rounded to 800, numbers tie by themselves; without a reference an element may lie anywhere between the one-sided slopes.
"""

from dataclasses import replace

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.checks.finite import finite_value
from verify.generate import far_from_zero
from verify.oracle import kinks, samplers
from verify.oracle.by_hand import plain
from verify.oracle.compare import differences
from verify.oracle.noise import SIZES, compiled_otherwise, within_noise
from verify.oracle.rounding import resolved, usable
from verify.oracle.searches import refuse_unsolved, searches
from verify.oracle.tolerance import (
    ROOM,
    WORSE_THAN_AUTODIFF,
    allowed_error,
    any_true,
    largest,
    unit_roundoff,
    wrong_elements,
)
from verify.report.finding import Finding, NotRunError
from verify.running import OWN, WIDE, is_float

NAME = "conditioning"
EVERY_CASE = True
OF_OUTPUT = 1e-4  # of an element, at most, for the rounding of the output; far from zero all of that rounding


def findings(case: CallUnderTest) -> list[Finding]:
    found = _findings(case)
    if any(not f.note for f in found) and searches(case) and kinks.refuted(case):
        raise NotRunError("autodiff says otherwise of the example, too, as of a bisection")
    return [replace(f, note=True) for f in found] if found and plain(case) else found


def _findings(case: CallUnderTest) -> list[Finding]:
    samplers.refuse_held(case)
    if not usable(case):
        raise NotRunError("the oracle itself is not finite here")
    truth = case.truth
    if not any(case.tested.compiled.get(SIZES, (1.0,))):
        raise NotRunError("autodiff is 0 in the example, too, as that of a bisection is")
    if searches(case):
        refuse_unsolved(case, case.own[1])
    loudest = max((float(np.abs(g.astype(WIDE)).max(initial=0)) for g in case.y_bar), default=0.0)
    excused = [np.zeros(e.shape, bool) for e in truth.cotangents]
    try:
        floor = [ROOM * case.narrowest * loudest] * len(truth.magnitudes)
        ratio = case.narrowest / unit_roundoff(WIDE)
        allowed = [allowed_error(m, WIDE) * ratio + f for m, f in zip(truth.magnitudes, floor, strict=True)]
        found = _differences(case, WIDE, case.wide[1], allowed)
        # Right in float64 though autodiff says otherwise, as it does of a bisection: its error bounds say nothing.
        triples = zip(truth.cotangents, case.wide[1], allowed, strict=True)
        excused = [wrong_elements(e, g, a) for e, g, a in triples]
    except NotRunError:
        found = []
    if any(not f.note for f in found):
        return found
    allowed, most = [], np.inf if far_from_zero.is_at(case) else OF_OUTPUT
    for m, e, g in zip(truth.magnitudes, truth.cotangents, case.own[1], strict=True):
        unit = unit_roundoff(g.dtype)
        ratio = max(1.0, case.own_unit / unit)
        of_output = min(unit * max((largest(y) for y in truth.outputs if is_float(y)), default=0.0), most)
        allowed.append(ratio * (allowed_error(m, g.dtype) + ROOM * unit * loudest + of_output * np.abs(e)))
    allowed = [np.where(x, np.inf, a) for x, a in zip(excused, allowed, strict=True)]
    if not _differences(case, OWN, case.own[1], allowed):
        return []  # what autodiff loses could only allow more, and is not worth compiling it
    if not finite_value(case):
        raise NotRunError("the function itself has no finite value here")
    allowed = [a + WORSE_THAN_AUTODIFF * l for a, l in zip(allowed, _lost_by_autodiff(case), strict=True)]
    if not _differences(case, OWN, compiled_otherwise(case), allowed):
        return []
    return _differences(case, OWN, case.own[1], allowed)


def _differences(case: CallUnderTest, level: object, got: list[np.ndarray], allowed: list[np.ndarray]) -> list[Finding]:
    """Elements further from the oracle than allowed, but for those that a kink explains."""

    def unexplained(bad: list[np.ndarray]) -> list[np.ndarray]:
        # It was right in float64, where it runs there. Far from zero float64 shows the roundoff of the inputs: weights
        # that sum to one do so but for that.
        if (level is OWN or far_from_zero.is_at(case)) and any_true(bad):
            bad = [b & ~n for b, n in zip(bad, within_noise(case, got, OWN), strict=True)]
        bad = kinks.unexplained(case, level, got, allowed, bad)
        refuse_unsolved(case, got, bad)
        return bad

    beyond = [resolved(case, k) for k in range(len(got))] if level is WIDE else None
    found = differences(NAME, case, case.truth.cotangents, got, allowed, unexplained=unexplained, beyond=beyond)
    return [replace(f, cause=far_from_zero.CAUSE) for f in found] if far_from_zero.is_at(case) else found


def _lost_by_autodiff(case: CallUnderTest) -> list[np.ndarray]:
    """The error of autodiff of the oracle at the example's own dtype, zero where it does not run or is not finite."""
    try:
        got = case.pull(OWN, case.y_bar, case.tested.oracle(case.options), "autodiff")[1]
        with np.errstate(invalid="ignore"):
            errors = [np.abs(np.asarray(g, WIDE) - e) for g, e in zip(got, case.truth.cotangents, strict=True)]
        return [np.where(np.isfinite(e), e, 0.0) for e in errors]
    except Exception:
        return [np.zeros(e.shape) for e in case.truth.cotangents]
