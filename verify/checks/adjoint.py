"""The dot-product test: for every direction u, with J from *forward* mode and x̄ from the rule,

    ⟨J u, ȳ⟩ = ⟨u, x̄⟩

Forward mode pushes u through the primal, one derivative per operation and no transposition; it shares neither the
derivation nor the code of a backward rule, and works where reverse mode does not (`while_loop`). Each argument gets
its own directions, so that a large one cannot hide a small one; where there is no elementwise oracle, single elements
are tried too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import first_line
from verify.generate.domain import mirrored, single_elements
from verify.generate.repeated import outside
from verify.oracle import kinks, samplers
from verify.oracle.compare import outside_example
from verify.oracle.noise import bars_going_on, going_on, loop_noise
from verify.oracle.one_sided import Slopes, slopes
from verify.oracle.rounding import WORSE, of_the_rule
from verify.oracle.tolerance import ROOM, allowed_error, largest, unit_roundoff
from verify.report.finding import Finding, NotRunError
from verify.running import FORWARD, WIDE, call, compiled, pushforward

NAME = "adjoint"
EVERY_CASE = False
RANDOM = 3  # directions per argument
KINK = "the function has a kink here, where forward mode has a convention of its own"


def findings(case: CallUnderTest) -> list[Finding]:
    samplers.refuse(case)
    flat = case.tested.oracle(case.options)
    run = compiled(case, FORWARD, WIDE, lambda: pushforward(flat, case.perturbed))
    try:
        bars, unit = case.wide[1], case.narrowest
    except NotRunError:
        bars, unit = case.own[1], unit_roundoff(case.tested.dtype)
    bars = [np.asarray(b, WIDE) for b in bars]
    left_out = [out | ~judged for out, judged in zip(kinks.excused(case), _judged(case), strict=True)]
    for k, (name, bar) in enumerate(zip(case.names, bars, strict=True)):
        for index, drawn in _directions(case, k):
            u = np.where(left_out[k], 0.0, drawn)
            tangents = [u if j == k else np.zeros(b.shape) for j, b in enumerate(bars)]
            try:
                _, ju = call(run, WIDE, case.at(WIDE), tangents)
            except Exception as error:
                raise NotRunError(f"forward mode does not reach through the function ({first_line(error)})") from error
            expected, terms = _product(case, ju)
            got = float(np.sum(np.where(left_out[k], 0.0, u * bar)))
            if not np.isfinite(expected):
                raise NotRunError("forward mode of the function is not finite here")
            sizes = float(np.sum(np.where(left_out[k], 0.0, np.abs(u * bar))))
            room = ROOM * unit * np.sqrt(bar.size) * (terms + sizes)
            room += float(np.sum((np.abs(u) * _allowed(case, k, bar, unit))[u != 0]))
            # A difference below a roundoff of the call's own dtype is not a fault; the check `gradient` notes it.
            room = max(room, room * unit_roundoff(case.tested.dtype) / unit / ROOM)
            # The cotangent of a converged loop's start is zero: noise is relative to the largest of all cotangents.
            room = max(room, loop_noise(case) * (terms + float(np.sum(np.abs(u))) * max(map(largest, bars))))
            if not abs(got - expected) <= room and loop_noise(case):  # tangents converge later than values do
                expected, _ = _product(case, going_on(run, WIDE, case.at(WIDE), tangents)[-len(case.y_bar) :])
                further = float(np.sum(u * np.asarray(bars_going_on(case, bars)[k], WIDE)))
                got = min(got, further, key=lambda one: abs(one - expected))  # beyond its end a solver may break down
            if room < abs(got - expected) < WORSE * room and case.tested.dtype == WIDE:
                allowed = [_allowed(case, j, b, unit) for j, b in enumerate(bars)]
                room += float(np.sum(np.abs(u) * of_the_rule(case, allowed, [WIDE] * len(bars))[k]))
            if not abs(got - expected) <= room:
                if case.tested.reference is None:
                    values = _of_the_values(case, k, u)
                    if values.kink:
                        raise NotRunError(KINK)
                    if loop_noise(case) and _closer(values, got, expected):
                        raise NotRunError("forward mode of the function's loops is not the slope of its values")
                where = "along a random direction" if index is None else "at one element"
                text = f"⟨u, x̄⟩ differs from ⟨J u, ȳ⟩ {where}, by {abs(got - expected):.3g} where {room:.2g} is allowed"
                if outside(case) and np.isfinite(got):
                    return [outside_example(NAME, case, name, text)]
                return [Finding(NAME, name, index, expected, got, "one direction", text, case.label)]
    return []


def _judged(case: CallUnderTest) -> list[np.ndarray]:
    """Where autodiff is finite: an element where it is not says nothing, and is moved by no direction."""
    try:
        return [np.isfinite(e) for e in case.truth.cotangents]
    except NotRunError:
        return [np.ones(case.arrays[n].shape, bool) for n in case.perturbed]


def _product(case: CallUnderTest, ju: Sequence[Any]) -> tuple[float, float]:
    """⟨J u, ȳ⟩, and the sum of its terms' sizes."""
    terms = [np.asarray(g, WIDE) * np.asarray(j) for g, j in zip(case.y_bar, ju, strict=True)]
    return float(sum(np.sum(t) for t in terms)), float(sum(np.sum(np.abs(t)) for t in terms))


def _directions(case: CallUnderTest, k: int):
    """Random ones and, where nothing else looks at elements, single elements. Then what is symmetric changes as such:
    forward mode follows the iterates of a solver, which elsewhere are those of no solution."""
    rng, array = np.random.default_rng((case.seed, 4, k)), case.arrays[case.perturbed[k]]
    drawn = [rng.standard_normal(array.shape) for _ in range(RANDOM)]
    try:
        case.truth  # noqa: B018 (asks whether there is an elementwise oracle)
        yield from ((None, u) for u in drawn)
    except NotRunError:
        yield from ((None, mirrored(u, array)) for u in drawn)
        yield from single_elements(array, rng)


def _allowed(case: CallUnderTest, k: int, bar: np.ndarray, unit: float) -> np.ndarray:
    roughly = ROOM * unit * np.sqrt(bar.size) * (np.abs(bar) + largest(bar) / 4)  # as in `tolerance`
    try:
        allowed = allowed_error(case.truth.magnitudes[k], WIDE) * unit / unit_roundoff(WIDE)
    except NotRunError:
        return roughly
    return np.where(np.isnan(allowed), roughly, allowed)  # where the error analysis itself ends in ∞ - ∞


def _of_the_values(case: CallUnderTest, k: int, u: np.ndarray) -> Slopes:
    direction = [u if j == k else np.zeros(case.arrays[n].shape) for j, n in enumerate(case.perturbed)]
    return slopes(case, direction, case.y_bar)


def _closer(values: Slopes, got: float, expected: float) -> bool:
    """Whether the values rise as the rule says, and not as forward mode does: a loop that begins at its solution, as
    one within another's steps, ends before its tangent has moved."""
    apart = abs(got - expected)
    return values.bar < apart / 10 and all(abs(side - got) < apart / 10 for side in (values.left, values.right))
