"""Generated calls of Pallas kernels, whose blocks need not divide every size: what none of them reads or writes."""

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.running import WIDE

KERNEL = "pallas_call"


def left_unwritten(case: CallUnderTest) -> bool:
    """Whether a Pallas kernel, whose blocks need not divide every size, leaves entries of its output unwritten: in
    interpret mode they are NaN, where the reference has numbers. No such call was promised."""
    if KERNEL not in case.tested.primitives or case.tested.reference is None:
        return False
    try:
        values, exact = case.value(case.at(WIDE), case.tested.rule, "rule's value"), case.value(case.at(WIDE))
    except Exception:  # which the checks say
        return False
    pairs = zip(values, exact, strict=True)
    return any(v.shape == e.shape and bool(np.any(np.isnan(v) & np.isfinite(e))) for v, e in pairs)


def left_unread(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether a Pallas kernel reads an argument to its end in the example and not here, as one that steps through whole
    blocks, which need not divide every size: its rule was made for sizes that they divide."""
    if KERNEL not in case.tested.primitives or case.tested.reference is not None:
        return False
    changed = [
        (n, axis)
        for n in case.perturbed
        for axis, (here, there) in enumerate(zip(case.arrays[n].shape, example.arrays[n].shape, strict=False))
        if here != there
    ]
    try:
        return any(not _reads_the_end(case, *at) and _reads_the_end(example, *at) for at in changed)
    except Exception:  # which the checks say
        return False


def _reads_the_end(case: CallUnderTest, n: int, axis: int) -> bool:
    arrays = case.at(WIDE)
    moved = np.moveaxis(arrays[n].copy(), axis, 0)
    moved[-1] += 1
    other = [np.moveaxis(moved, 0, axis) if k == n else a for k, a in enumerate(arrays)]
    pairs = zip(case.value(arrays), case.value(other), strict=True)
    return any(not np.array_equal(a, b, equal_nan=True) for a, b in pairs)
