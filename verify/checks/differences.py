"""Differences of the function itself, with an error bar that is the tolerance.

Along a direction u the central difference D(h) = (F(x + h u) - F(x - h u)) / 2h of F = ⟨ȳ, f⟩ is F'(x; u) + c h² + …,
and Richardson's (4 D(h/2) - D(h)) / 3 removes the h² term. Two things limit it: truncation, seen as the distance of
successive extrapolations, and rounding, about u |F| / h. The step that makes their sum smallest is chosen and that
sum is the bar: it knows the dtype, the scale and the curvature. Where F is linear in an argument the first step, as
long as the argument itself, is exact already.

The second verdict needs no tolerance at all: the Taylor remainder |F(x + h u) - F(x) - h ⟨x̄, u⟩| falls like h² if x̄ is
the gradient and like h if it is not. A finding needs both. A step never crosses a kink unnoticed: the extrapolations
would disagree, and with no step at which they agree the check says that it did not run.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import first_line
from verify.generate.domain import mirrored, single_elements
from verify.generate.repeated import outside
from verify.oracle import kinks, samplers
from verify.oracle.compare import outside_example
from verify.oracle.noise import COARSEST, bars_going_on, below_normal, going_on, loop_noise
from verify.oracle.one_sided import largest_term, slopes
from verify.oracle.tolerance import ROOM, any_true, largest, unit_roundoff
from verify.report.finding import Finding, NotRunError
from verify.running import WIDE, call

NAME = "differences"
EVERY_CASE = False
LADDER = 12  # steps, each an eighth of the one before
RANDOM = 2


@dataclass(frozen=True)
class Slope:
    """A derivative along a direction, its error bar, and the exponent with which the remainder falls."""

    value: float
    bar: float
    steps: np.ndarray
    remainders: np.ndarray  # F(x + h u) - F(x), to compare with h times a claimed slope
    noise: np.ndarray
    terms: float  # the size of what F sums, or of the largest value where F sums smaller ones
    central: np.ndarray  # (F(x + h u) - F(x - h u)) / 2h

    def agrees_closer_by(self, claimed: float) -> bool:
        """Whether at some step, whose rounding could tell the two apart, the difference is what is claimed. Then it is
        the other steps that cross a kink: where there are thousands, two of them may agree by chance."""
        rounding = self.noise / self.steps
        telling = rounding < abs(claimed - self.value) / 4
        return bool(np.any(telling & (np.abs(self.central - claimed) <= rounding + self.bar)))

    def exponent(self, claimed: float) -> float:
        """How fast |F(x + h u) - F(x) - h·claimed| falls, over the steps where it stands out of the rounding noise."""
        r = np.abs(self.remainders - self.steps * claimed)
        seen = r > 10 * self.noise
        if seen.sum() < 3:
            return 2.0
        return float(np.polyfit(np.log(self.steps[seen]), np.log(r[seen]), 1)[0])


def findings(case: CallUnderTest) -> list[Finding]:
    samplers.refuse(case)
    if not case.example and below_normal(case) and loop_noise(case):
        raise NotRunError("a loop stops at a tolerance far above these numbers")
    try:
        bars = case.wide[1]
    except NotRunError:
        bars = case.own[1]
    unit = case.narrowest
    kinked = declared = 0
    for k, (name, bar) in enumerate(zip(case.names, bars, strict=True)):
        for index, u in _directions(case, k):
            direction = [u if j == k else np.zeros(b.shape) for j, b in enumerate(bars)]
            slope = slope_along(case, direction, unit)
            got = float(np.sum(u * np.asarray(bar, WIDE)))
            room = 4 * slope.bar + ROOM * unit * np.sqrt(u.size) * float(np.sum(np.abs(u * np.asarray(bar, WIDE))))
            size = max(abs(slope.value), abs(got), float(np.sqrt(np.sum((u * np.asarray(bar, WIDE)) ** 2))))
            if slope.bar > 1e-2 * size and slope.bar > 1e-9:
                kinked += 1
                continue
            # A difference below a roundoff of the call's own dtype is not a fault; the check `gradient` notes it.
            own = unit_roundoff(case.tested.dtype) * (slope.terms + float(np.sum(np.abs(u * np.asarray(bar, WIDE)))))
            # The cotangent of a converged loop's start is zero: noise is relative to the largest of all cotangents.
            loudest = max(largest(np.asarray(b, WIDE)) for b in bars)
            room = max(room, 2 * own, loop_noise(case) * (size + float(np.sum(np.abs(u))) * loudest))
            if abs(got - slope.value) > room and slope.exponent(got) < 1.5:
                if loop_noise(case) and _agree_going_on(case, k, u, bars, room, slope):
                    continue
                at_kink = slope.agrees_closer_by(got) or slopes(case, direction, case.y_bar).kink
                at_kink = at_kink or any_true(kinks.excused(case))
                if at_kink:
                    kinked += 1
                    continue
                near = abs(got - slope.value) <= COARSEST * (size + float(np.sum(np.abs(u))) * loudest)
                if case.reshaped and near:  # no bound tells what long sums and products of the rule may round there
                    continue
                if _as_declared(case, k, u, got, room) or ((near or not case.example) and kinks.holds_steps(case)):
                    declared += 1
                    continue
                where = "along a random direction" if index is None else "at one element"
                text = (
                    f"⟨u, x̄⟩ differs from the function's own slope {where}, by {abs(got - slope.value):.3g}, error "
                    f"bar {slope.bar:.2g}; the Taylor remainder falls like h^{slope.exponent(got):.1f}, not h^2"
                )
                if outside(case):
                    return [outside_example(NAME, case, name, text)]
                return [Finding(NAME, name, index, slope.value, got, "one direction", text, case.label)]
    if declared:
        raise NotRunError("the gradient that a stop_gradient or a tie declares is not the slope of the values")
    if kinked:
        raise NotRunError("a kink lies within every step along some direction")
    return []


def _agree_going_on(case: CallUnderTest, k: int, u: np.ndarray, bars: list, room: float, slope: Slope) -> bool:
    """Whether rule and values agree once the loops run on, of both or of the function alone: neither may have converged
    as far as the other."""
    direction = [u if j == k else np.zeros(b.shape) for j, b in enumerate(bars)]
    further = slope_along(case, direction, case.narrowest, further=True)
    values = (further.value, _settled(slope, further, abs(float(np.sum(u * bars[k])) - slope.value)))
    # Beyond its end a solver of the rule may break down.
    return any(abs(float(np.sum(u * b[k])) - v) <= room for b in (bars, bars_going_on(case, bars)) for v in values)


def _settled(slope: Slope, further: Slope, apart: float) -> float:
    """The difference that changes least from step to step, where going on changes it by less than what is `apart`:
    from a start that is the solution a loop ends at once after a smaller step, as far as one iteration leads."""
    told = np.abs(slope.remainders - further.remainders) < apart / 4 * slope.steps
    changes = np.where(told[1:] & told[:-1], np.abs(np.diff(further.central)), np.inf)
    j = int(np.argmin(changes))
    return float(further.central[j + 1]) if np.isfinite(changes[j]) else further.value


def _as_declared(case: CallUnderTest, k: int, u: np.ndarray, got: float, room: float) -> bool:
    """Whether autodiff's own derivative is no slope either, but the one the rule gives: a reference's convention, such
    as the whole cotangent to every tied element, that no difference follows even where a direction breaks no tie; or
    a stop_gradient, as the singular vectors of spectral normalisation are held."""
    if case.tested.reference is None and not kinks.stops_matter(case):
        return False
    try:
        return abs(float(np.sum(u * case.truth.cotangents[k])) - got) <= room
    except NotRunError:
        return False


def _directions(case: CallUnderTest, k: int):
    """Random signs; single elements too where autodiff has nothing to say about elements."""
    rng, array = np.random.default_rng((case.seed, 5, k)), case.arrays[case.perturbed[k]]
    for _ in range(RANDOM):
        yield None, mirrored(rng.choice([-1.0, 1.0], array.shape), array)
    try:
        case.truth  # noqa: B018 (asks whether there is an elementwise oracle)
    except NotRunError:
        yield from single_elements(array, rng)


def slope_along(case: CallUnderTest, direction: list[np.ndarray], unit: float, *, further: bool = False) -> Slope:
    """The derivative of ⟨ȳ, f⟩ along a direction; with loops run on for as long again if `further`."""
    value = partial(case.value, through=going_on if further else call)
    scale = max(
        float(np.sqrt(np.mean(a.astype(WIDE) ** 2))) if a.size else 1.0
        for a in (case.arrays[n] for n in case.perturbed)
    )
    steps = (scale or 1.0) * 8.0 ** -np.arange(LADDER)
    try:
        base = value(case.at(WIDE))
        ahead, behind = ([_rise(case, value, direction, base, sign * h) for h in steps] for sign in (1.0, -1.0))
    except Exception as error:
        raise NotRunError(f"the function does not run in float64 ({first_line(error)})") from error
    size = sum(float(np.sum(np.abs(np.asarray(g, WIDE) * b))) for g, b in zip(case.y_bar, base, strict=True))
    noise = np.full(LADDER, 4 * max(unit, unit_roundoff(WIDE)) * size)
    central = [(a - b) / (2 * h) for a, b, h in zip(ahead, behind, steps, strict=True)]
    # With steps falling by 8 the h² term falls by 64.
    better = [(64 * fine - coarse) / 63 for coarse, fine in itertools.pairwise(central)]
    best = (central[0], np.inf)
    for j, (coarse, fine) in enumerate(itertools.pairwise(better)):
        bar = abs(fine - coarse) + noise[0] / steps[j + 2]
        if np.isfinite(bar) and bar < best[1]:
            best = (fine, bar)
    linear = abs(ahead[0] + behind[0]) + abs(central[0] - central[1]) * steps[0] <= 8 * noise[0]
    if linear:
        best = (central[0], noise[0] / steps[0])
    terms = max(size, largest_term(case, base, case.y_bar))  # a solver rounds what it solves for to the largest of it
    return Slope(float(best[0]), float(best[1]), steps, np.array(ahead), noise, terms, np.array(central))


def _rise(case: CallUnderTest, value: Callable, direction: list[np.ndarray], base: list[np.ndarray], h: float) -> float:
    arrays = case.at(WIDE)
    for n, u in zip(case.perturbed, direction, strict=True):
        arrays[n] = arrays[n] + h * u
    moved = value(arrays)
    # Outputs that do not move contribute an exact zero, not the rounding of two large sums.
    return float(sum(np.sum(np.asarray(g, WIDE) * (m - b)) for g, m, b in zip(case.y_bar, moved, base, strict=True)))
