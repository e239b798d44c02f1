"""A for Aᵀ, a kernel for its flip: the rule is right where an argument is symmetric, and only there."""

from collections.abc import Iterator

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import FLOAT, PERTURBED
from verify.oracle.reruns import bars_of_oracle, bars_of_rule, same
from verify.report.evidence import Evidence, bar
from verify.running import WIDE

KERNEL = 11  # the longest axis of a kernel


def transposed(case: CallUnderTest, k: int, seen: Evidence) -> str:
    """The rule is right where an argument is symmetric, and only there: wrong throughout where it is not, the argument
    itself or a mixture with its other entries. What is wrong at a few entries only, others than these may undo."""
    if 2 * seen.bad.sum() < np.count_nonzero(seen.expected):
        return ""
    for n, leaf in enumerate(case.tested.arrays):
        a, name = case.arrays[n], case.tested.leaves[leaf].path
        if case.tested.leaves[leaf].kind not in (PERTURBED, FLOAT):
            continue
        for what, changed in _symmetric(np.asarray(a, WIDE), n == case.perturbed[k]):
            mixed = (2 * a + np.roll(a.ravel(), 1).reshape(a.shape)) / 3
            if _right(case, k, n, changed, seen) and not _right(case, k, n, mixed, seen):
                return what.format(bar=bar(seen.name), name=name)
    return ""


def _right(case: CallUnderTest, k: int, n: int, array: np.ndarray, seen: Evidence) -> bool:
    """Whether the cotangent of perturbed leaf `k` is right with `array` for the n-th."""
    moved = case.moved([array.astype(a.dtype) if m == n else a for m, a in enumerate(case.arrays)])
    expected = bars_of_oracle(moved, case.y_bar)[k]
    return bool(np.any(expected)) and same(expected, bars_of_rule(moved)[k], seen)


def _symmetric(a: np.ndarray, own: bool) -> Iterator[tuple[str, np.ndarray]]:
    pairs = [(a.ndim - 2, a.ndim - 1), (0, 1)] if a.ndim > 1 else []
    for i, j in dict.fromkeys(pairs):
        other = np.swapaxes(a, i, j)
        if a.shape[i] == a.shape[j] > 1 and not np.allclose(a, other):
            axes = "" if a.ndim == 2 else f" (axes {i} and {j})"
            text = f"{{bar}} is right only where {{name}} is symmetric{axes}: {{name}} stands for {{name}}ᵀ"
            yield f"{text}, a transpose is missing or one too many", (a + other) / 2
    windows = [tuple(range(a.ndim - 2)), (a.ndim - 2, a.ndim - 1)] if a.ndim > 2 else [tuple(range(a.ndim))]
    for axes in () if own else windows:
        other = np.flip(a, axes)
        if axes and max(a.shape[i] for i in axes) <= KERNEL and not np.allclose(a, other):
            along = f"ax{'es' if len(axes) > 1 else 'is'} {', '.join(map(str, axes))}"
            text = f"{{bar}} is right only where {{name}} is the same backwards: a flip of {{name}} along {along}"
            yield f"{text} is missing or one too many", (a + other) / 2
