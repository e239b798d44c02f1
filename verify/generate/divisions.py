"""Integers that divide the rows of another array: row pointers of a sparse matrix, cumulative lengths of packed
sequences (both start at 0 and end at the number of rows), the sizes of groups (which sum to it), and where the bags of
a list of indices start."""

from collections.abc import Sequence, Set

import numpy as np

from verify.function_under_test import INTEGER, KEY, Leaf

SUMMED = {"cumsum", "ragged_dot", "ragged_dot_general"}  # what makes positions of sizes
LOOPS = {"while", "scan"}  # of a search in an increasing array


def divided(
    rng: np.random.Generator, n: int, example: Sequence[Leaf], shapes: Sequence[tuple[int, ...]], primitives: Set[str]
) -> np.ndarray | None:
    """Another division of as many rows as there are at these `shapes`, if the example's integers `n` are one; None if
    they are not. Where no part of the example's is empty, no part is, unless there are more parts than rows."""
    value, length = np.asarray(example[n].value), shapes[n][0] if shapes[n] else 0
    if value.ndim != 1 or value.dtype == bool or value.size < 2 or not length or value.min() < 0:
        return None
    others = [(m, leaf) for m, leaf in enumerate(example) if m != n and leaf.kind != KEY and np.ndim(leaf.value)]
    rows = [(np.shape(leaf.value)[0], shapes[m][0]) for m, leaf in others]
    ordered = value[0] == 0 and np.all(np.diff(value) >= 0)
    # Sorted labels are as many as what they label, and below that or below a number of classes, as 0 and 2 beside two
    # rows of logits are; row pointers may be as many as something by chance.
    classes = max((size for _, leaf in others for size in np.shape(leaf.value)[1:]), default=0)
    labels = value[-1] < value.size or value[-1] == value.size < classes
    pointers = ordered and not (labels and value.size in [old for old, _ in rows])
    sizes = not pointers and primitives & SUMMED and value.sum() != value.size
    total = value[-1] if pointers else value.sum()
    now = {new for old, new in rows if old == total}
    if ordered and not now and primitives & LOOPS and np.all(np.diff(value) > 0) and np.any(np.diff(value) > 1):
        listed = [m for m, leaf in others if leaf.kind == INTEGER and np.ndim(leaf.value) == 1]
        if len(listed) == 1 and value[-1] < np.shape(example[listed[0]].value)[0] > value.size:
            return _cuts(rng, shapes[listed[0]][0], length, empty=False)[:-1]
    if not (pointers or sizes) or len(now) != 1:
        return None
    parts = np.diff(value) if pointers else value
    cuts = _cuts(rng, now.pop(), length - 1 if pointers else length, empty=bool(np.any(parts == 0)))
    return cuts if pointers else np.diff(cuts)


def _cuts(rng: np.random.Generator, rows: int, parts: int, *, empty: bool) -> np.ndarray:
    """`parts` + 1 positions in order, from 0 to `rows`."""
    if parts < 1:
        return np.zeros(1, int)
    apart = not empty and parts <= rows
    inner = rng.permutation(np.arange(1, rows))[: parts - 1] if apart else rng.integers(0, rows + 1, parts - 1)
    return np.concatenate([[0], np.sort(inner), [rows]])
