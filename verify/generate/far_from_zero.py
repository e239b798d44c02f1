"""Calls with numbers far from zero: the mean of their squares, less the square of their mean, has no digit left.

Left out are arguments whose numbers lie in an interval in the example, or have a form that an offset would take away.
"""

from collections.abc import Callable, Collection, Iterator

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.generate.domain import INCREASING, NEGATIVE, NONNEGATIVE, POSITIVE, scale_of
from verify.oracle.tolerance import unit_roundoff

ANYWHERE = {POSITIVE, NONNEGATIVE, NEGATIVE, INCREASING}  # domains that an offset does not leave
FEWEST = 2  # numbers that differ
FAR = 0.25  # of the mean, in deviations, at which no digit is left
CAUSE = (
    "digits are lost where numbers are much larger than their differences, as in a variance computed as E[x²] − E[x]²: "
    "subtract the mean before squaring"
)


def plans(case: CallUnderTest, apart: Collection[int]) -> Iterator[tuple[str, dict[int, Callable], bool]]:
    """(label, fillers, stress): each of the first two arguments, and all of them. `apart` are matrices of which the
    function takes the parts."""
    leaves = [case.tested.leaves[k] for k in case.tested.arrays]
    movable = [
        n
        for n in case.perturbed
        if set(leaves[n].domain) <= ANYWHERE and n not in apart and case.arrays[n].size >= FEWEST
    ]
    names = dict(zip(case.perturbed, case.names, strict=True))
    offset = unit_roundoff(case.tested.dtype) ** -0.5
    scales = {n: scale_of(leaves[n].value) for n in movable}
    for n in movable[:2]:
        yield f"{names[n]} far from 0", {n: _about(offset * scales[n])}, True
    if len(movable) > 1:  # one offset for all: what is subtracted from each other cancels
        yield "every argument far from 0", dict.fromkeys(movable, _about(offset * max(scales.values()))), True


def _about(offset: float) -> Callable:
    return lambda rng, shape, scale: offset + scale * rng.standard_normal(shape)


def is_at(case: CallUnderTest) -> bool:
    """Whether the squares of an argument's numbers leave few digits to those of their differences, or none."""
    arrays = [case.arrays[n].astype(np.float64) for n in case.perturbed]
    far = FAR * unit_roundoff(case.tested.dtype) ** -0.5
    return any(a.size >= FEWEST and abs(a.mean()) > far * a.std() > 0 for a in arrays)
