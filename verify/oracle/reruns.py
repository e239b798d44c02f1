"""Mistakes that show when the call is run again, a little changed.

A rule that leaves ȳ out returns what belongs to ȳ = 1, and one that leaves out the cotangent of one output what belongs
to 0 there; one that loses a carry between blocks returns, for each block, what belongs to a cotangent that is zero
outside of it; a sum where a mean is due is off by a factor that grows with the size. Each is tried on rule and oracle,
and named if it fits.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from verify.call_under_test import CallUnderTest, with_cotangent
from verify.function_under_test import KEY
from verify.generate import generated_inputs, shapes
from verify.report.evidence import Evidence, bar, near, ratio
from verify.report.intended import UNDECLARED
from verify.running import OWN, WIDE

STEPS, ELEMENTS = 160, 1_000_000  # the longest axis that is gone through step by step, and the numbers in all
RESIZED = 3  # sizes tried again


def _cut(bound: float):
    return lambda g, y: np.clip(g, -bound, bound)


def another_cotangent(case: CallUnderTest, k: int, seen: Evidence) -> str:
    """What comes is right for another cotangent than ȳ."""
    outputs = [y for y in case.truth.outputs if y.dtype == WIDE]
    for words, change in COTANGENTS:
        y_bar = tuple(np.asarray(change(np.asarray(g, WIDE), y)) for g, y in zip(case.y_bar, outputs, strict=True))
        if same(bars_of_oracle(case, y_bar)[k], seen.got, seen):
            return words.format(bar=bar(seen.name))
    return _output_left_out(case, k, seen)


def _output_left_out(case: CallUnderTest, k: int, seen: Evidence) -> str:
    """Of several outputs one whose cotangent is not used: a log-sum-exp beside the attention, a log-determinant."""
    for n in range(len(case.y_bar) if len(case.y_bar) > 1 else 0):
        y_bar = tuple(np.zeros_like(g) if m == n else g for m, g in enumerate(case.y_bar))
        if same(bars_of_oracle(case, y_bar)[k], seen.got, seen):
            return f"the cotangent of output {n} is left out: {bar(seen.name)} is what it would be if that were 0"
    return ""


COTANGENTS = (
    ("ȳ is left out: {bar} is what it would be if every entry of ȳ were 1", lambda g, y: np.ones_like(g)),
    ("the output stands for its cotangent: {bar} is computed from y in the place of ȳ", lambda g, y: y),
    ("ȳ is multiplied by itself: {bar} is that of ȳ²", lambda g, y: g * g),
    ("the sign of ȳ is lost: {bar} is that of |ȳ|", lambda g, y: np.abs(g)),
    ("{bar} is that of the mean of ȳ, at every entry", lambda g, y: np.full_like(g, g.sum() / max(g.size, 1))),
    ("{bar} is that of the sum of ȳ, at every entry", lambda g, y: np.full_like(g, g.sum())),
    ("{bar} is that of ȳ of the first sample, for all", lambda g, y: np.broadcast_to(g[:1], g.shape) if g.ndim else g),
    *((f"a clipped gradient: ȳ is cut off at ±{c:g}; {UNDECLARED}", _cut(c)) for c in (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)),
)


def carry_lost(case: CallUnderTest, k: int, seen: Evidence) -> str:
    """Shares of a sum over steps that do not arrive: at an argument with steps itself, those from other blocks; at one
    that all steps share, those of all but the first or the last ones."""
    e, main = seen.expected, max(range(len(case.y_bar)), key=lambda n: case.y_bar[n].size)
    shape = case.y_bar[main].shape
    for axis in range(min(len(shape), 2)):
        steps = shape[axis]
        own = axis < e.ndim and e.shape[axis] == steps
        if not 3 < steps <= STEPS or steps * max(e.size, case.y_bar[main].size) > ELEMENTS:
            continue
        if own and not _ends_right(seen.bad, axis):
            continue
        parts = np.stack([bars_of_oracle(case, _only(case.y_bar, main, axis, t))[k] for t in range(steps)])
        decided = _by_blocks(parts, axis, steps, seen) if own else _by_ends(parts, axis, seen)
        if decided:
            return decided
    return ""


def _ends_right(bad: np.ndarray, axis: int) -> bool:
    """Whether the first or the last step is right and some other is not."""
    rows = [bool(part.any()) for part in np.moveaxis(bad, axis, 0)]
    return any(rows) and not (rows[0] and rows[-1])


def _by_blocks(parts: np.ndarray, axis: int, steps: int, seen: Evidence) -> str:
    own = np.moveaxis(parts, axis + 1, 1)  # own[t, s]: what ȳ at step t gives to x̄ at step s
    for size in range(1, steps):
        block = np.arange(steps) // size
        within = (block[:, None] == block[None]).reshape(steps, steps, *(1,) * (own.ndim - 2))
        if same(np.moveaxis((own * within).sum(0), 0, axis), seen.got, seen):
            if size == 1:
                return f"each step of axis {axis} sees its own ȳ alone: the carry's cotangent is not passed on"
            text = f"the carry is lost every {size} steps of axis {axis}"
            return f"{text}: each block of {size} sees its own part of ȳ alone"
    return ""


def _by_ends(parts: np.ndarray, axis: int, seen: Evidence) -> str:
    first, last = np.cumsum(parts, 0), np.cumsum(parts[::-1], 0)
    for size in range(1, len(parts)):
        for which, sums in (("first", first), ("last", last)):
            if same(sums[size - 1], seen.got, seen):
                part = f"only the {which} {size} of the {len(parts)} entries of ȳ along axis {axis} reach {seen.name}"
                if any(size * count == len(parts) for count in seen.devices):
                    return f"{part}, the share of one device: a psum is missing"
                return f"{part}: the others are cut off, overwritten, or lost between blocks"
    return ""


def of_a_size(case: CallUnderTest, k: int, seen: Evidence) -> str:
    """Off by a factor that is a size of the call, and by the new size once that is changed."""
    r = ratio(seen.expected, seen.got, seen.tolerance)
    if r is None or near(r, 1, seen.tolerance):
        return ""
    tried: dict[tuple[int, int], CallUnderTest | None] = {}
    for count_of, axis, words in _sizes(case):
        count = count_of(case)
        for place, (law, text) in enumerate(LAWS):
            if count < 2 or not near(r, law(count), seen.tolerance):
                continue
            if axis not in tried and len(tried) < RESIZED:
                tried[axis] = _resized(case, *axis)
            other = tried.get(axis)
            e, no_map = seen.expected, not any(y.shape == seen.expected.shape for y in case.y_bar)
            if other is None and axis in tried and e.size > 1 and no_map and place < GUESSED:
                return f"{text.format(n=count, words=words)}, perhaps: no other size could be tried"
            if other is not None and count_of(other) != count and _follows(other, k, law(count_of(other)), seen):
                return text.format(n=count, words=words)
    return ""


LAWS = (
    (lambda n: float(n), "×{n} = {words}: a sum where the function averages"),
    (lambda n: 1 / n, "×1/{n} = one over {words}: an average where the function sums"),
    (lambda n: n / (n - 1), "×{n}/({n} - 1), {n} = {words}: divided by n - 1 where the function divides by n"),
    (lambda n: (n - 1) / n, "×({n} - 1)/{n}, {n} = {words}: divided by n where the function divides by n - 1"),
)


GUESSED = 2  # of them without another size: any factor of 1.5 is a 3/(3 - 1)


def _sizes(case: CallUnderTest) -> Iterator[tuple[Callable[[CallUnderTest], int], tuple[int, int], str]]:
    """Axes, and runs of axes, whose size a mean may have in it: how the size is read off a case, the axis to change it
    by, and what it is called."""
    for n, leaf in enumerate(case.tested.arrays):
        if case.tested.leaves[leaf].kind != KEY:
            for first, last, words in _runs(np.ndim(case.arrays[n]), case.tested.leaves[leaf].path):
                yield (lambda c, n=n, i=first, j=last: int(np.prod(c.arrays[n].shape[i:j]))), (n, first), words
    for n, y in enumerate(case.y_bar):
        for first, last, words in _runs(y.ndim, "y"):
            size = lambda c, n=n, i=first, j=last: int(np.prod(c.y_bar[n].shape[i:j]))  # noqa: E731
            yield size, _axis_of(case, y.shape[first]), words


def _axis_of(case: CallUnderTest, size: int) -> tuple[int, int]:
    """The axis of an argument that an output's axis of this size most likely is."""
    axes = [(n, a) for n in case.perturbed for a in range(np.ndim(case.arrays[n]))]
    return next((axis for axis in axes if np.shape(case.arrays[axis[0]])[axis[1]] == size), (case.perturbed[0], 0))


def _runs(rank: int, name: str) -> Iterator[tuple[int, int, str]]:
    for first, last in itertools.combinations(range(rank + 1), 2):
        if last - first == rank:
            yield first, last, f"the number of elements of {name}"
        elif rank == 2:
            yield first, last, f"the number of {'rows' if first == 0 else 'columns'} of {name}"
        else:
            axes = f"axis {first}" if last == first + 1 else f"axes {first} to {last - 1}"
            yield first, last, f"the size of {name} along {axes}"


def _resized(case: CallUnderTest, n: int, axis: int) -> CallUnderTest | None:
    """The case with that axis, and those that go with it, longer by three; None where the function refuses."""
    kinds = [case.tested.leaves[leaf].kind for leaf in case.tested.arrays]
    sizes = [tuple(np.shape(a)) for a in case.arrays]
    axes = [(m, a) for m, s in enumerate(sizes) if kinds[m] != KEY for a in range(len(s))]
    group = shapes.class_of(case, (n, axis), axes, sizes)
    if group is None:
        return None
    new = shapes.set_class(sizes, group, sizes[n][axis] + 3)
    if not shapes.accepted(case, new, case.options):
        return None
    rng = np.random.default_rng((case.seed, 13))
    arrays = generated_inputs.fill(case, rng, {}, new)
    return with_cotangent(replace(case, arrays=arrays, y_bar=(), example=False, reshaped=True), rng)


def _follows(other: CallUnderTest, k: int, factor: float, seen: Evidence) -> bool:
    r = ratio(other.truth.cotangents[k], np.asarray(other.wide[1][k], WIDE), seen.tolerance)
    return r is not None and near(r, factor, seen.tolerance)


def bars_of_oracle(case: CallUnderTest, y_bar: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """The oracle's cotangents for another ȳ, by the program that has been compiled already."""
    if not case.reshaped:
        return replace(case, y_bar=y_bar).truth.cotangents
    bars = case.pull(WIDE, y_bar, case.tested.oracle(case.options), "oracle alone")[1]
    return [np.asarray(b, WIDE) for b in bars]


def bars_of_rule(case: CallUnderTest) -> list[np.ndarray]:
    level = OWN if case.tested.dtype == WIDE else WIDE
    return [np.asarray(b, WIDE) for b in case.pull(level, case.y_bar)[1]]


def _only(y_bar: Sequence[np.ndarray], main: int, axis: int, step: int) -> tuple[np.ndarray, ...]:
    """ȳ of one step of the `main` output; other outputs, such as the final carry, go with the last step."""
    last = step == y_bar[main].shape[axis] - 1
    kept = [np.zeros_like(g) if n == main or not last else g for n, g in enumerate(y_bar)]
    index = (slice(None),) * axis + (step,)
    kept[main][index] = y_bar[main][index]
    return tuple(kept)


def same(a: np.ndarray, b: np.ndarray, seen: Evidence) -> bool:
    """Equal up to the tolerance: a single number too, since nothing but the mistake would run into all its digits."""
    size = float(max(np.abs(a).max(initial=0), np.abs(b).max(initial=0)))
    return a.shape == b.shape and size > 0 and float(np.abs(a - b).max()) <= seen.tolerance * size
