"""Calls with long axes, at the example's own dtype: what goes by blocks may do so in float32 alone.

One call has every axis beyond two blocks of 128. A block of another size is looked for among the numbers in the rule's
own code, and exceeded by one; a smaller number there is every axis' size once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from verify.call_under_test import CallUnderTest, float_outputs, with_cotangent
from verify.generate import generated_inputs, shapes
from verify.generate.calls import FEW_CLASSES, LONG, feasible
from verify.generate.own_code import parts
from verify.oracle.primal import equations
from verify.running import WIDE

SOME_CLASSES = 4  # of axes, as an attention has, all of which are longer than one block of 128
LONGER = 257  # beyond two blocks of 128
ALL_LONG = 200_000  # elements, all axes long at once
LARGEST = 10_000_000  # elements of the outputs: those of an outer product are the square of its arguments'
CONDITIONED = {"while", "cholesky", "lu", "qr", "householder_product", "eigh", "eig", "svd", "triangular_solve"}
EXACT = 16  # a size with a branch of its own is a multiple of it
BLOCK, LARGEST_BLOCK, MOST_BLOCKS = 64, 4096, 2  # a block is a multiple of the first, beyond LONG and up to the second


def long_cases(example: CallUnderTest) -> Iterator[CallUnderTest]:
    """Every axis long at once, where that is cheap; then each axis beyond the blocks that the rule names. Not asked of
    what a long random matrix is too ill-conditioned for, or a loop may not end with."""
    classes, sizes = shapes.free_classes(example), [tuple(a.shape) for a in example.arrays]
    if len(classes) > SOME_CLASSES or example.tested.dtype == WIDE:
        return
    if any(e.primitive.name in CONDITIONED for e in equations(example.trace[0])):
        return
    every, first = sizes, LONGER if len(classes) <= FEW_CLASSES else LONG
    for n, axes in enumerate(classes):
        for size in (first + 2 * n, LONG):  # no two alike, an index of 8 bits too short for any
            longer = shapes.set_class(every, axes, size)
            if not shapes.unrolled(example, axes, size) and _fits(example, longer):
                every = longer
                break
    one_more = [(axes, b + 1) for b in blocks(example.tested.rule) for axes in classes]
    plans = [every, *(shapes.set_class(sizes, *p) for p in one_more if not shapes.unrolled(example, *p))]
    plans += [_all_of(example, classes, size) for size in exact(example.tested.rule)]
    for n, longer in enumerate(plans):
        if longer != sizes and _fits(example, longer):
            yield from _made(example, longer, n)


def _all_of(example: CallUnderTest, classes: Sequence[shapes.Axes], size: int) -> list[tuple[int, ...]]:
    """Every axis of one size, where the function takes it."""
    sizes = [tuple(a.shape) for a in example.arrays]
    for axes in classes:
        longer = shapes.set_class(sizes, axes, size)
        if not shapes.unrolled(example, axes, size) and _fits(example, longer):
            sizes = longer
    return sizes


def _fits(example: CallUnderTest, sizes: list[tuple[int, ...]]) -> bool:
    small = sum(int(np.prod(s)) for s in sizes) <= ALL_LONG
    return small and shapes.accepted(example, sizes, example.options)


def _made(example: CallUnderTest, sizes: list[tuple[int, ...]], n: int) -> Iterator[CallUnderTest]:
    rng = np.random.default_rng((example.seed, 18, n) if n else (example.seed, 18))
    label = f"{example.tested.dtype.name}, sizes {shapes.shown(sizes)}"
    arrays = generated_inputs.fill(example, rng, {}, sizes)
    if sum(int(np.prod(o.shape)) for o in float_outputs(example.tested, example.options, arrays)) > LARGEST:
        return
    case = replace(example, label=label, arrays=arrays, example=False, reshaped=True, long=True, y_bar=())
    case = with_cotangent(case, rng)
    if feasible(case, example):
        yield case


def exact(rule: Any) -> list[int]:
    """Sizes up to LONG in a rule's code, the largest: one of its branches may be for them alone."""
    found = {n for n in parts(rule) if type(n) is int and EXACT <= n <= LONG and n % EXACT == 0}
    return sorted(found, reverse=True)[:MOST_BLOCKS]


def blocks(rule: Any) -> list[int]:
    """The largest sizes of blocks among the whole numbers in a rule's code."""
    found = {n for n in parts(rule) if type(n) is int and LONG < n <= LARGEST_BLOCK and n % BLOCK == 0}
    return sorted(found, reverse=True)[:MOST_BLOCKS]
