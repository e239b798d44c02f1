"""A call one part of which is empty, where none is in the example: a sequence of a packed batch, a group of rows; or
which has no indices, where the example has some.

Only where function and oracle have numbers: the mean of no rows has none.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from verify.call_under_test import CallUnderTest, outputs, with_cotangent
from verify.function_under_test import INTEGER
from verify.generate import generated_inputs, shapes
from verify.generate.divisions import divided
from verify.generate.signs import has_numbers
from verify.running import finite


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


def without_indices(example: CallUnderTest) -> Iterator[CallUnderTest]:
    """The call with no integers in those arrays of them that may grow, where the outputs hold something all the same:
    alone, or with what grows with them."""
    kinds = [example.tested.leaves[k].kind for k in example.tested.arrays]
    sizes, indices = [np.shape(a) for a in example.arrays], {n for n, kind in enumerate(kinds) if kind == INTEGER}
    for axes in shapes.free_classes(example):
        held = tuple((n, k) for n, k in axes if n in indices and len(sizes[n]) == 1)
        for group in dict.fromkeys((held, axes)) if held else ():
            case = _at(example, shapes.resized(sizes, dict.fromkeys(group, 0)))
            if case is not None:
                yield case
                break


def _at(example: CallUnderTest, sizes: list[tuple[int, ...]]) -> CallUnderTest | None:
    """A call of these sizes; None where the function does not take them or has no numbers there, nor a rule."""
    try:
        arrays = generated_inputs.fill(example, np.random.default_rng((example.seed, 24)), {}, sizes)
        if any(0 in o.shape for o in outputs(example.tested, example.options, arrays)):
            return None
        label = f"no indices: {shapes.shown(sizes)}"
        case = replace(example, label=label, arrays=arrays, example=False, reshaped=True, y_bar=())
        case = with_cotangent(case, np.random.default_rng((example.seed, 25)))
        return case if finite((case.truth.outputs, case.truth.cotangents)) else None
    except Exception:  # it is no call
        return None
