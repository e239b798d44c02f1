"""A call one part of which is empty, where none is in the example: a sequence of a packed batch, a group of rows.

Only where function, oracle and rule have numbers: the mean of no rows has none.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.generate.divisions import divided
from verify.generate.signs import has_numbers


def calls(example: CallUnderTest, fresh: CallUnderTest) -> Iterator[CallUnderTest]:
    """The call `fresh` with the rows of one part given to the part before it."""
    leaves = [example.tested.leaves[k] for k in example.tested.arrays]
    shapes, rng = [np.shape(a) for a in example.arrays], np.random.default_rng(0)
    for n, leaf in enumerate(leaves):
        if np.ndim(leaf.value) != 1 or divided(rng, n, leaves, shapes, example.tested.primitives) is None:
            continue
        parts, pointers = np.asarray(fresh.arrays[n]), not np.asarray(leaf.value)[0]
        sizes = np.diff(parts) if pointers else parts
        if sizes.size < 2 or not np.all(np.diff(leaf.value) if pointers else leaf.value):
            continue
        for k in sorted({1, sizes.size - 1}):  # in the middle and at the end
            now = sizes.copy()
            now[k - 1 : k + 1] = sizes[k - 1] + sizes[k], 0
            joined = np.concatenate([[0], np.cumsum(now)]) if pointers else now
            arrays = tuple(joined.astype(parts.dtype) if m == n else a for m, a in enumerate(fresh.arrays))
            case = replace(fresh, label=f"{leaf.path} with part {k} empty", arrays=arrays)
            if has_numbers(case):
                yield case
