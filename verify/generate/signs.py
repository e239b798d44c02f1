"""A call with numbers of both signs where the example's are above 0, or below 0.

They may be so by chance, as numbers between 0 and 1 from a generator are, or because the function is meant for them
alone. So a difference there is a note, and only where function, oracle and rule have numbers: none of a logarithm or a
root is said to differ, nor a rule that returns NaN there.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.generate.domain import NEGATIVE, NONNEGATIVE, POSITIVE, SIGN
from verify.running import finite

SIDES = {SIGN[0]: 1, POSITIVE: 1, NONNEGATIVE: 1, NEGATIVE: -1}
LOOPS = {"while"}  # Newton's method for a root may never end below 0
MOST = 3  # arguments


def calls(example: CallUnderTest, fresh: CallUnderTest) -> Iterator[CallUnderTest]:
    """The call `fresh` with every other number of one argument on the other side of 0."""
    if LOOPS & example.tested.primitives or not (example.tested.calls or example.tested.reference):
        return
    names = dict(zip(example.perturbed, example.names, strict=True))
    for n in [n for n in example.perturbed if _side(example, n)][:MOST]:
        signs = np.where(np.arange(fresh.arrays[n].size) % 2, 1, -1).reshape(fresh.arrays[n].shape)
        arrays = tuple((a * signs).astype(a.dtype) if k == n else a for k, a in enumerate(fresh.arrays))
        side = "above" if _side(example, n) > 0 else "below"
        case = replace(fresh, label=f"{names[n]} of both signs, {side} 0 in the example", arrays=arrays)
        if has_numbers(case):
            yield case


def beyond_the_example(case: CallUnderTest) -> bool:
    """Whether an argument that is above 0 in the example, or below 0, is not so here."""
    return any(bool(np.any(case.arrays[n] * _side(case, n) < 0)) for n in case.perturbed)


def _side(case: CallUnderTest, n: int) -> int:
    """1 where an argument is above 0 in the example, -1 where it is below 0, else 0."""
    leaf = case.tested.leaves[case.tested.arrays[n]]
    return SIDES.get(leaf.domain[0], 0) if leaf.guessed and len(leaf.domain) == 1 else 0


def has_numbers(case: CallUnderTest) -> bool:
    """Whether function, oracle and rule have finite numbers here."""
    try:
        return finite((case.truth.outputs, case.truth.cotangents, case.wide))
    except Exception:  # what cannot be run here is no case
        return False
