"""Calls made from one example call: other input values at its shape, then other shapes and options.

A call that the function or its reference refuses is simply not a case, so nothing has to be known about either.
"""

from collections.abc import Iterator, Set
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any

import numpy as np

from verify.call_under_test import CallUnderTest, with_cotangent
from verify.generate import compared, empties, fitted, generated_inputs, labels, repeated, shapes, signs
from verify.generate.effort import operations
from verify.generate.options import GEOMETRY, mixtures, option_values
from verify.generate.promised import promised
from verify.generate.stand_ins import valueless

FEWEST, ORDINARY_LENGTH = 5, 150  # cases of a very long rule; equations up to which none is left out
LONG = 130  # beyond one block of 128
FEW_CLASSES, MOST_ELEMENTS = 3, 20_000  # one long size an axis, of rules that are cheap at it
OPERATIONS = 1e8  # of a call that is run again and again; seconds in float64 on one core
OPERATIONS_ONCE = 2e10  # of the example itself
STRIDES = {"stride", "strides"}
DRAWS = 4  # of numbers, until the function has a value of them
SMALL = 11  # generated arrays need not be large: a fault of geometry shows on a few rows


def content_cases(example: CallUnderTest) -> Iterator[CallUnderTest]:
    """The example's shape and options with other numbers."""
    sizes = [tuple(a.shape) for a in example.arrays]
    for index, (label, fillers, stress) in enumerate(generated_inputs.plans(example)):
        rng = np.random.default_rng((example.seed, 1, index))
        for _ in range(DRAWS):
            arrays = generated_inputs.fill(example, rng, fillers, sizes)
            case = replace(example, label=label, arrays=arrays, stress=stress, example=False, y_bar=())
            case = with_cotangent(case, rng)
            if not valueless(case, example):
                break
        else:
            continue
        yield case
        if not index:
            yield from _other_cotangents(case, rng)
            yield from repeated.calls(example, case)
            yield from compared.calls(example, case)
            yield from signs.calls(example, case)
            yield from empties.calls(example, case)


def _other_cotangents(case: CallUnderTest, rng: np.random.Generator) -> Iterator[CallUnderTest]:
    """The two that people have most: of a sum, and of one entry."""
    yield replace(case, label="a cotangent of ones", y_bar=tuple(np.ones_like(g) for g in case.y_bar))
    one_hot = tuple(np.zeros_like(g) for g in case.y_bar)
    for g in one_hot:
        if g.size:
            g.flat[int(rng.integers(g.size))] = 1
    yield replace(case, label="a one-hot cotangent", y_bar=one_hot)


def geometry_cases(example: CallUnderTest, limit: int) -> Iterator[CallUnderTest]:
    """Other shapes and options, at most `limit` of them, and every word and a value of each option, the most telling
    first; fewer of a rule so long that compiling it is what takes the time."""
    limit = min(limit, max(FEWEST, limit * ORDINARY_LENGTH // max(1, example.length)))
    seen: set[str] = set()
    plans = _plans(example, np.random.default_rng((example.seed, 2)))
    tried: set[str] = set()
    for index, (label, sizes, options, filler) in enumerate(_limited(plans, seen, limit, _worded(example, tried))):
        key = repr((sizes, sorted(options.items(), key=str)))
        if key in seen:
            continue
        seen.add(key)
        rng = np.random.default_rng((example.seed, 3, index))
        fillers = {example.perturbed[0]: filler}
        arrays = generated_inputs.fill(example, rng, fillers, sizes)
        case = replace(example, label=label, arrays=arrays, options=options, example=False, reshaped=True, y_bar=())
        case = with_cotangent(labels.held(case, options), rng)
        if feasible(case, example):
            tried.update(options)
            yield case


def feasible(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether a generated call is cheap enough, and one that was promised."""
    if operations_of(case) > OPERATIONS or unrolled(case, example):
        return False
    return promised(case, example) and not valueless(case, example)


def affordable(example: CallUnderTest) -> CallUnderTest:
    """The example, or, where that takes too long to be run again and again, a call like it with smaller sizes."""
    if operations_of(example) <= OPERATIONS:
        return example
    sizes = [tuple(a.shape) for a in example.arrays]
    classes = shapes.free_classes(example)
    for most in (64, 32, 24, 16, 12, 8, 6, 4, 3):
        smaller = sizes
        for axes in classes:
            candidate = shapes.set_class(smaller, axes, most) if shapes.size_of(smaller, axes) > most else smaller
            smaller = candidate if shapes.accepted(example, candidate, example.options) else smaller
        rng = np.random.default_rng((example.seed, 4))
        arrays = generated_inputs.fill(example, rng, {}, smaller)
        case = with_cotangent(replace(example, label=f"sizes {shapes.shown(smaller)}", arrays=arrays, y_bar=()), rng)
        if smaller != sizes and operations_of(case) <= OPERATIONS:
            return case
    return example  # nothing about it is free


def affordable_once(example: CallUnderTest) -> bool:
    return operations_of(example) <= OPERATIONS_ONCE


def unrolled(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether a loop in Python has made the program much longer than the example's: compiling it would take minutes,
    and XLA ends the process over chains of some thousands of operations."""
    try:
        return case.length > max(shapes.UNROLLED, 2 * example.length)
    except Exception:  # it cannot be traced, which `contract` says
        return False


def why_smaller(example: CallUnderTest, smaller: CallUnderTest) -> str:
    """What the report says of a call that is too large."""
    once = "its gradient was compared once, in float64" if affordable_once(example) else "it was not run at all"
    count = operations_of(example) / 1e9
    return f"the call takes {count:.3g} billion operations: {once}; everything else was run at {smaller.label}"


def operations_of(case: CallUnderTest) -> float:
    """Floating-point operations of rule and pullback; 0 where they cannot be traced, which `contract` says."""
    try:
        return operations(case.trace[0])
    except Exception:
        return 0.0


def _plans(
    example: CallUnderTest, rng: np.random.Generator
) -> Iterator[tuple[str, list, dict[str, Any], generated_inputs.Filler]]:
    """(label, shapes, options, what the first argument holds), in order of use."""
    base = [tuple(a.shape) for a in example.arrays]
    classes = shapes.free_classes(example)
    default = dict(example.options)
    varied = all_different(example, classes, base)
    if varied != base:
        yield f"all sizes different: {shapes.shown(varied)}", varied, default, generated_inputs.distinct
    for axes in classes if len(classes) <= FEW_CLASSES else ():
        sizes = shapes.set_class(varied, axes, LONG)  # beyond one block of 128
        longer = sum(int(np.prod(s)) for s in sizes)
        few = longer <= MOST_ELEMENTS and not shapes.unrolled(example, axes, LONG)
        if few and shapes.accepted(example, sizes, default):
            yield f"{_named(example, axes)} of {LONG}: {shapes.shown(sizes)}", sizes, default, generated_inputs.normal
    for axes in classes[:1]:
        for size in (1, max(3, shapes.size_of(varied, axes) + 1)):  # one more than chunks of the example's may fill
            sizes = shapes.set_class(varied, axes, size)
            if shapes.accepted(example, sizes, default):
                yield f"batch {size}: {shapes.shown(sizes)}", sizes, default, generated_inputs.normal
    alike = shapes.all_alike(example, classes, varied)
    if alike != varied:
        yield f"all sizes alike: {shapes.shown(alike)}", alike, default, generated_inputs.normal
    for name in example.tested.optional:
        yield from fitted.fitted(example, classes, varied, {name: None}, generated_inputs.distinct)
    choices = option_values(example)
    for mixture in mixtures(choices, rng):
        yield from fitted.fitted(example, classes, varied, mixture, generated_inputs.distinct)
    for name, value in ((n, v) for n, values in choices.items() for v in values):
        yield from fitted.valued(example, classes, varied, name, value)
    for axes in classes[1:2]:  # a stride that divides what it runs over leaves no rest, and one more does
        longer = shapes.set_class(varied, axes, shapes.size_of(varied, axes) + 1)
        for name in STRIDES & choices.keys():
            yield from fitted.fitted(example, classes, longer, {name: choices[name][0]}, generated_inputs.distinct)
    for axes in classes[1:]:
        now = shapes.size_of(varied, axes)
        # Halves or pairs take twice as many, and not one more; heads that others share may be half as many.
        for several in ((1,), (now + 1, 2 * now, max(2, now // 2))):
            tried = ((size, shapes.set_class(varied, axes, size)) for size in several)
            for size, sizes in islice((t for t in tried if shapes.accepted(example, t[1], default)), 1):
                label = f"{_named(example, axes)} of {size}: {shapes.shown(sizes)}"
                yield label, sizes, default, generated_inputs.distinct
    for _ in range(4):
        for mixture in mixtures(choices, rng):
            yield from fitted.fitted(example, classes, _jittered(classes, varied, rng), mixture, generated_inputs.tied)


def _limited(plans: Iterator, seen: set[str], limit: int, further: Iterator) -> Iterator:
    """The plans until so many are seen, then the further ones; each more would ask the function whether it takes it."""
    yield from takewhile(lambda _: len(seen) < limit, plans)
    yield from further


def _worded(example: CallUnderTest, tried: Set[str]) -> Iterator[tuple]:
    """The call with each word of an option that is a word by default, or None, and with another value of each other
    option, but for those of a geometry that were `tried` before, of which there are the widest padding and a stride of
    two numbers."""
    values = option_values(example)
    choices = {name: v for name, v in values.items() if name not in GEOMETRY or name not in tried}
    choices |= {"padding": [v for v in values.get("padding", ()) if type(v) is int][-1:]}
    choices = {name: v for name, v in choices.items() if v}
    each = [(name, value) for name, values in choices.items() for value in values if isinstance(value, str)]
    each += [(name, values[0]) for name, values in choices.items() if not isinstance(values[0], str)]
    each += [(name, v) for name in sorted(STRIDES & values.keys()) for v in values[name] if isinstance(v, tuple)][:1]
    if each:
        base, classes = [tuple(a.shape) for a in example.arrays], shapes.free_classes(example)
        varied = all_different(example, classes, base)
        for name, value in each:
            yield from fitted.valued(example, classes, varied, name, value)


def all_different(example: CallUnderTest, classes: list[shapes.Axes], base: list) -> list[tuple[int, ...]]:
    """Small sizes, no two alike in one array: what tells rows from columns and channels in from channels out. Smaller
    rather than larger than the example's, since rules that loop over a window grow with it."""
    sizes, settled = base, set[tuple[int, int]]()
    for axes in classes:
        wanted = min(shapes.size_of(base, axes), SMALL)
        used = {sizes[n][k] for n, k in settled if n in {m for m, _ in axes}}
        for size in (wanted + step for step in (0, -1, 1, -2, 2, -3, 3, 4, 5, 6, 7, 8)):
            candidate = shapes.set_class(sizes, axes, size)
            if size > 1 and size not in used and shapes.accepted(example, candidate, example.options):
                sizes = candidate
                settled.update(axes)
                break
    return sizes


def _jittered(classes: list, sizes: list, rng: np.random.Generator) -> list[tuple[int, ...]]:
    for axes in classes:
        sizes = shapes.set_class(sizes, axes, max(1, shapes.size_of(sizes, axes) + int(rng.integers(-1, 3))))
    return sizes


def _named(example: CallUnderTest, axes: shapes.Axes) -> str:
    paths = [example.tested.leaves[k].path for k in example.tested.arrays]
    return " and ".join(f"{paths[n]} axis {k}" for n, k in axes)
