"""A call in which an index occurs twice, where all of the example's are different: the cotangents that meet at its
element add up, and `.at[].set` for `.at[].add` is right only where none do.

Whether an index may occur twice, the example does not say. Different numbers by chance are likely, an order that leaves
none out (a permutation) or that only grows (rows that are kept) is not, unless another array beside it, of its shape,
has an index twice, as the columns beside the rows of a sparse matrix have.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import INTEGER
from verify.generate import signs
from verify.generate.divisions import divided
from verify.generate.domain import occur_once
from verify.oracle.primal import equations

FEWEST = 4  # indices that are different in every other call as well
PROMISED = "unique_indices"  # by the function itself


def calls(example: CallUnderTest, fresh: CallUnderTest) -> Iterator[CallUnderTest]:
    """The numbers of the call `fresh` at the example's integers, one index of which occurs twice."""
    kinds = [example.tested.leaves[k].kind for k in example.tested.arrays]
    shown = [a if kind == INTEGER else b for kind, a, b in zip(kinds, example.arrays, fresh.arrays, strict=True)]
    for n, indices in _repeated(example):
        arrays = tuple(indices if k == n else a for k, a in enumerate(shown))
        name = example.tested.leaves[example.tested.arrays[n]].path
        yield replace(fresh, label=f"{name} with an index that occurs twice", arrays=arrays)


def _repeated(example: CallUnderTest) -> Iterator[tuple[int, np.ndarray]]:
    """(position, indices) of each array of different indices, with one of them twice. Rows that are written, not added,
    to one place in no order have no value."""
    if "scatter" in example.tested.primitives or any(e.params.get(PROMISED) for e in equations(example.trace[0])):
        return
    arrays = _indices(example)
    for n, indices in arrays.items():
        if not _different(indices) or _divides(example, n):
            continue
        beside = [other for m, other in arrays.items() if m != n and other.shape == indices.shape]
        for k in range(1, indices.size):  # of a neighbour, so that what grows in the example does not fall
            if all(other[k] != indices[k - 1] for other in beside):  # no pair of a point with itself
                twice = indices.copy()
                twice[k] = indices[k - 1]
                yield n, twice
                break


def outside(case: CallUnderTest) -> bool:
    """Whether the numbers here lie beyond the example's, or at the end of them: at 0, where its are positive."""
    return case.on_the_boundary or beyond_the_example(case)


def beyond_the_example(case: CallUnderTest) -> bool:
    """Whether an index occurs twice here, where the example shows that none may, or a number is below 0 where its are
    above."""
    if signs.beyond_the_example(case):
        return True
    shown = {n: np.asarray(case.tested.leaves[case.tested.arrays[n]].value) for n in _indices(case)}
    return any(
        not occur_once(case.arrays[n])
        and _different(before)
        and (_permutation(before) or bool(np.all(np.diff(before) > 0)))
        and all(_apart(other) for other in shown.values() if other.shape == before.shape)
        and not _divides(case, n)  # an empty sequence is one
        for n, before in shown.items()
    )


def _divides(case: CallUnderTest, n: int) -> bool:
    leaves = [case.tested.leaves[k] for k in case.tested.arrays]
    shapes = [np.shape(leaf.value) for leaf in leaves]
    return divided(np.random.default_rng(0), n, leaves, shapes, case.tested.primitives) is not None


def _indices(case: CallUnderTest) -> dict[int, np.ndarray]:
    """The vectors of integers among the arrays of the call, masks and unsigned numbers aside."""
    kinds = [case.tested.leaves[k].kind for k in case.tested.arrays]
    pairs = enumerate(zip(kinds, case.arrays, strict=True))
    return {n: np.asarray(a) for n, (kind, a) in pairs if kind == INTEGER and np.ndim(a) == 1 and a.dtype.kind == "i"}


def _different(indices: np.ndarray) -> bool:
    return indices.size >= FEWEST and _apart(indices)


def _apart(indices: np.ndarray) -> bool:
    return bool(np.all(indices >= 0)) and occur_once(indices)


def _permutation(indices: np.ndarray) -> bool:
    return bool(np.array_equal(np.sort(indices), np.arange(indices.size)))
