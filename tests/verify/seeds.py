"""Many draws of one call through the checks that compare numbers, every program compiled once."""

from dataclasses import replace

import numpy as np

from verify.call_under_test import CallUnderTest, with_cotangent
from verify.checks.order import CHECKS
from verify.function_under_test import describe
from verify.generate import calls, generated_inputs
from verify.report.finding import NotRunError

COMPARING = ("gradient", "finite", "forward", "linearity", "adjoint", "exact", "differences", "conditioning")


def alarms(rule, args, reference, seeds, every_content=3):
    """The findings on a right rule for each seed; every `every_content` seeds on all generated inputs too."""
    tested = describe(rule, args, reference, None)
    arrays = tested.example
    first = with_cotangent(CallUnderTest(tested, "example", arrays, {}, 0, example=True), np.random.default_rng(0))
    found = []
    for seed in seeds:
        rng = np.random.default_rng((seed, 100))
        drawn = generated_inputs.fill(first, rng, {}, [tuple(a.shape) for a in arrays])
        case = with_cotangent(replace(first, seed=seed, arrays=drawn, label=f"seed {seed}", y_bar=()), rng)
        cases = [case, *(calls.content_cases(case) if seed % every_content == 0 else ())]
        for one in cases:
            found += [f for name in COMPARING for f in _findings(name, one)]
    return found


def _findings(name, case):
    check = next(c for c in CHECKS if name == c.NAME)
    saturated = name in ("conditioning", "finite")
    if (case.stress and not saturated) or (name == "conditioning" and not case.stress):
        return []
    if not case.example and name in ("linearity", "adjoint", "exact", "differences"):
        return []
    try:
        return check.findings(case)
    except NotRunError:
        return []
