"""Arrays that are the ends of intervals in the example, as the bounds of a clip are, and stay so."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from verify.function_under_test import FLOAT, PERTURBED, Leaf
from verify.generate.domain import POSITIVE

FEWEST = 5  # numbers below others that show an order


def in_order(arrays: Sequence[Any], example: Sequence[Leaf]) -> list[Any]:
    """The arrays of a call, the lower end of each interval that `example` shows below the upper one."""
    arrays = list(arrays)
    for n, m in ordered(example):
        arrays[n], arrays[m] = _in_order(arrays[n], arrays[m], alike=example[n].domain == example[m].domain)
    return arrays


def ordered(example: Sequence[Leaf]) -> list[tuple[int, int]]:
    """Pairs of arrays of one shape of which the first is the smaller everywhere: the ends of intervals. Few numbers
    show it where they stand beside a larger array, all below all of the others, as the bounds of a clip."""
    numbers = [n for n, leaf in enumerate(example) if leaf.kind in (PERTURBED, FLOAT)]
    values = {n: np.asarray(example[n].value) for n in numbers}
    largest = max((v.size for v in values.values()), default=0)
    return [
        (n, m)
        for n, m in itertools.permutations(numbers, 2)
        if values[n].shape == values[m].shape
        and np.all(values[n] < values[m])
        and (values[n].size >= FEWEST or (0 < values[n].size < largest and np.max(values[n]) < np.min(values[m])))
        and (example[n].domain == example[m].domain or set(example[m].domain) <= {POSITIVE})
    ]


def _in_order(low: np.ndarray, high: np.ndarray, *, alike: bool) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of one domain change places; otherwise the larger one, which any number above is as good for, grows."""
    if low.shape != high.shape:
        return low, high
    if alike:
        low, high = np.minimum(low, high), np.maximum(low, high)
    gap = np.abs(high - low)
    return low, (low + np.where(gap > 0, gap, np.abs(low) + 1)).astype(high.dtype)
