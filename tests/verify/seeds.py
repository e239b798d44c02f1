"""Many draws of one call through the checks that compare numbers, every program compiled once."""

from dataclasses import replace

import numpy as np

from verify.case import Case, with_cotangent
from verify.checking import CHECKS
from verify.generate import calls, contents
from verify.report.finding import NotRunError
from verify.subject import describe

COMPARING = ("gradient", "finite", "forward", "linearity", "adjoint", "exact", "differences", "conditioning")


def alarms(rule, args, reference, seeds, every_content=3):
    """The findings on a right rule, over fresh numbers for each seed; every so many seeds all contents as well."""
    subject = describe(rule, args, reference, None)
    arrays = tuple(subject.leaves[k].value for k in subject.arrays)
    first = with_cotangent(Case(subject, "example", arrays, {}, 0, example=True), np.random.default_rng(0))
    found = []
    for seed in seeds:
        rng = np.random.default_rng((seed, 100))
        drawn = contents.fill(first, rng, {}, [tuple(a.shape) for a in arrays])
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
