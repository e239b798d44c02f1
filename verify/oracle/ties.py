"""Order statistics of numbers that tie: a median, or the k largest, may give its cotangent to any of the equal numbers
or share it among them, and autodiff gives it to the one that its sort puts there. Along each of them alone the slope of
a median in the middle of three is 0, so that no one-sided slope tells."""

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.generate.shapes import takes_apart
from verify.oracle.tolerance import wrong_elements
from verify.running import WIDE

SORTS = {"sort", "top_k", "approx_top_k"}


def without_shared(
    case: CallUnderTest, got: list[np.ndarray], allowed: list[np.ndarray], bad: list[np.ndarray]
) -> list[np.ndarray]:
    """`bad` without the entries of equal numbers of an array, in functions that sort, that have the oracle's cotangents
    in another order or mixed: as much together, and none beyond the largest or the smallest of them. A factorisation
    sorts its pivots alone, and a symmetric matrix holds equal numbers that are no ties."""
    if not SORTS & case.tested.primitives or takes_apart(case):
        return bad
    left = []
    for k, (mine, room, wrong) in enumerate(zip(got, allowed, bad, strict=True)):
        array, wrong = case.arrays[case.perturbed[k]], wrong.copy()
        theirs, mine = case.truth.cotangents[k], np.asarray(mine, WIDE)
        for number in np.unique(array[wrong]) if array.shape == mine.shape == theirs.shape else ():
            tied = array == number
            most = room[tied].max()
            low, high = theirs[tied].min() - most, theirs[tied].max() + most
            total = wrong_elements(theirs[tied].sum(), mine[tied].sum(), tied.sum() * most)
            if not total and np.all((mine[tied] >= low) & (mine[tied] <= high)):
                wrong[tied] = False
        left.append(wrong)
    return left
