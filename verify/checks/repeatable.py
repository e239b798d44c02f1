"""The same call twice gives the same bits, from the same program and from one traced anew.

A rule is a pure function. Where the second run differs, it reads something besides its arguments: a random generator
on the Python side, a global, a buffer not written, atomic additions in no fixed order. Where two traces of it are the
same program, word for word and constant for constant, there is no need to compile the second.
"""

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.report.finding import Finding
from verify.running import OWN, call, in_words, pullback

NAME = "repeatable"
EVERY_CASE = False


def findings(case: CallUnderTest) -> list[Finding]:
    first = case.own[1]
    runs = [("the same program again", case.pull(OWN, case.y_bar)[1])]
    anew = pullback(case.tested.flat(case.tested.rule, case.options), case.perturbed)
    if in_words(case.trace[0]) != in_words(jax.make_jaxpr(anew)(list(case.arrays), list(case.y_bar))):
        fresh = jax.jit(anew)
        again = call(fresh, OWN, list(case.arrays), list(case.y_bar))[1]
        runs.append(("the same rule traced again", [np.asarray(b) for b in again]))
    for what, again in runs:
        for name, a, b in zip(case.names, first, again, strict=True):
            if a.tobytes() != b.tobytes():
                differing = np.argwhere(~((a == b) | ((a != a) & (b != b))))
                index = tuple(int(i) for i in differing[0]) if len(differing) else None
                text = f"{what} gives other bits at {len(differing)} of {a.size} elements"
                values = (float(a[index]), float(b[index])) if index is not None else (None, None)
                cause = "the rule reads something besides its arguments: a random generator, a global, a race"
                return [Finding(NAME, name, index, *values, "not repeatable", text, case.label, cause)]
    return []
