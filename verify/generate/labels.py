"""Labels that an option of the rule refers to: those that are ignored, as padding is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import INTEGER

NAMES = {"ignore_index", "padding_idx"}


def of(example: CallUnderTest, name: str) -> list[int]:
    """A label of the example worth ignoring: the second smallest, since 0 may be so by default."""
    if name not in NAMES:
        return []
    found = [int(v) for n in _labels(example) for v in np.unique(example.arrays[n]) if v >= 0]
    return sorted(set(found))[1:2] or [1]


def held(case: CallUnderTest, options: Mapping[str, Any]) -> CallUnderTest:
    """The call with what these options ignore among its labels, where it is a label that there may be."""
    arrays = list(case.arrays)
    for name in NAMES & options.keys():
        for n in _labels(case):
            label, labels = options[name], np.asarray(arrays[n])
            if type(label) is int and 0 <= label < labels.max(initial=0) and not np.any(labels == label):
                arrays[n] = labels.copy()
                arrays[n].flat[0] = label
    return replace(case, arrays=tuple(arrays))


def _labels(case: CallUnderTest) -> list[int]:
    """Which arrays are labels: of integers with a sign, several."""
    kinds = [case.tested.leaves[k].kind for k in case.tested.arrays]
    signed = [n for n, kind in enumerate(kinds) if kind == INTEGER and np.asarray(case.arrays[n]).dtype.kind == "i"]
    return [n for n in signed if np.ndim(case.arrays[n])]


def are_lengths(labels: np.ndarray, sizes: list[int]) -> bool:
    """Whether integers are how many of the longest axis count, of each row one: one is all of it, which no index is,
    and none is 0, which has no entry. They need not differ."""
    counts = labels.ndim == 1 and len(labels) in sizes
    return counts and int(labels.min()) > 0 and int(labels.max()) == max(sizes)


def no_more(drawn: np.ndarray, labels: np.ndarray, sizes: list[tuple[int, int]]) -> np.ndarray:
    """Integers drawn from `labels`, as the lengths of sequences: where the largest is the size of an axis and none is
    0, at most that axis's size in the call. `sizes`: each axis's in the example and in the call."""
    now = [new for old, new in sizes if old == labels.max(initial=0)]
    if not now or labels.ndim != 1 or labels.min() <= 0:
        return drawn
    return np.minimum(drawn, min(now)).astype(drawn.dtype)
