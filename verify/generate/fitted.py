"""The call with given options, its sizes changed where these ask for it."""

from collections.abc import Iterator, Mapping
from itertools import permutations
from typing import Any

from verify.call_under_test import CallUnderTest
from verify.generate import generated_inputs, shapes
from verify.generate.cut_rows import cuts_rows
from verify.generate.options import WHOLE


def valued(example: CallUnderTest, classes: list, sizes: list, name: str, value: Any) -> Iterator[tuple]:
    """The call with an option of this value; a flag, a word or a number of rows at sizes that leave a rest. Where it is
    refused: at all sizes alike, as of a matrix that is transposed; at sizes of which one is that many times another, if
    one is the default times another; then, as of heads that must divide, twice as many and one: a group of one channel
    has no variance."""
    given = lambda v, s=sizes: fitted(example, classes, s, {name: v}, generated_inputs.negative)  # noqa: E731
    counted = isinstance(value, str | bool) or name in WHOLE
    rest = shapes.with_a_rest(example, classes, sizes) if counted else sizes
    plans = list(given(value, rest)) or list(given(value))
    if not plans and isinstance(value, bool):
        plans = list(given(value, shapes.all_alike(example, classes, sizes)))
    default = example.tested.options[name].default
    if not plans and type(value) is int and type(default) is int:
        plans = list(given(value, shapes.with_ratio(sizes, classes, default, value)))
    if not plans and type(value) is int and value > 2:
        plans = [*given(2 * value - 2), *given(1)]
    yield from plans


def fitted(
    example: CallUnderTest, classes: list, sizes: list, given: Mapping[str, Any], filler: Any
) -> Iterator[tuple]:
    """The call with these options, its sizes changed where they must be (channels for groups, rows for a window)."""
    options = {**example.options, **given}
    candidates = [sizes]
    for axes in classes:
        candidates.append(shapes.set_class(sizes, axes, 2 * shapes.size_of(sizes, axes)))
        candidates += [shapes.resized(sizes, {a: 2 * sizes[a[0]][a[1]]}) for a in axes]
    for axes, other in permutations(classes, 2):
        doubled = shapes.set_class(sizes, axes, 2 * shapes.size_of(sizes, axes))
        candidates += [shapes.resized(doubled, {a: 2 * sizes[a[0]][a[1]]}) for a in other]
    for candidate in candidates if "groups" in given else candidates[: 1 + len(classes)]:
        if shapes.accepted(example, candidate, options) and not cuts_rows(example, candidate, options):
            text = ", ".join(f"{k}={v!r}" for k, v in given.items())
            yield f"{text}: {shapes.shown(candidate)}", candidate, options, filler
            return
