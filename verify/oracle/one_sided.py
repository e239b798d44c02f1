"""One-sided slopes of a function's values, by differences: what a kink, or an oracle that is wrong, is told by."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.noise import loop_noise
from verify.oracle.tolerance import largest
from verify.report.finding import NotRunError
from verify.running import WIDE

JUMP = 1e3  # times the noise of the values: below, nothing is a jump
SAME = 0.01  # of a jump


@dataclass(frozen=True)
class Slopes:
    """One-sided derivatives of ⟨ȳ, f⟩ along a direction, and how far they can be trusted."""

    left: float
    right: float
    bar: float
    jump: bool = False  # the function is not continuous here, and has no derivative

    @property
    def kink(self) -> bool:
        return abs(self.right - self.left) > 10 * self.bar

    @property
    def sharp(self) -> bool:
        return self.bar <= 1e-6 * max(abs(self.left), abs(self.right), 1e-3)

    def admit(self, slope: float, room: float) -> bool:
        slack = 3 * self.bar + room + 1e-6 * max(abs(self.left), abs(self.right))
        return min(self.left, self.right) - slack <= slope <= max(self.left, self.right) + slack


def slopes(case: CallUnderTest, direction: list[np.ndarray], y_bar: tuple[np.ndarray, ...]) -> Slopes:
    """The one-sided slopes at the case along `direction` (one array per perturbed leaf), by one-sided differences
    at h, h/2 and h/4, extrapolated twice. The two agree only if no second kink lies within h, where there are thousands
    of them one often does; the step shrinks until they do, and where there is no value so far away. What iterates to
    a tolerance of its own moves by jumps of that size, which long steps alone rise above. Where the function jumps, a
    step a hundred times as short leads as far."""
    base = case.value(case.at(WIDE))
    scale = max(1.0, max(float(np.abs(case.arrays[n].astype(WIDE)).max(initial=0)) for n in case.perturbed))
    best, noise, no_value = None, loop_noise(case), NotRunError("the function has no value beside the point")
    sizes = (float(np.abs(b * np.asarray(g, WIDE)).max(initial=0)) for b, g in zip(base, y_bar, strict=True))
    size = max(1e-13 * max(sizes), noise * largest_term(case, base, y_bar) if noise else 0.0)
    rises = []
    for h in scale * np.array([*([0.1, 0.01] if noise else []), 1e-4, 1e-6, 1e-8]):
        try:
            sides = [[_slope(case, direction, y_bar, base, s * h / n) for n in (1, 2, 4)] for s in (-1.0, 1.0)]
        except NotRunError as why:
            no_value = why
            continue
        rises.append([abs(side[0]) * h for side in sides])
        (coarse, left), (coarser, right) = ((2 * second - first, 2 * third - second) for first, second, third in sides)
        bar = max(abs(left - coarse), abs(right - coarser), size / h)
        if best is None or bar < best.bar:
            best = Slopes(left, right, bar)
        if best.sharp:
            break
    if best is None:
        raise no_value
    return best if best.sharp else replace(best, jump=_jumps(np.array(rises), JUMP * size))


def largest_term(case: CallUnderTest, base: list[np.ndarray], y_bar: tuple[np.ndarray, ...]) -> float:
    """Of ⟨ȳ, f⟩, here or at the example, the larger: a tolerance stays as it is where the values become small."""
    pairs = zip(base, _values_of_the_example(case) or base, y_bar, strict=True)
    return max((max(largest(b), largest(e)) * largest(np.asarray(g, WIDE)) for b, e, g in pairs), default=0.0)


def _values_of_the_example(case: CallUnderTest) -> list[np.ndarray]:
    """None of them for a call of other sizes or options."""
    key = "values of the example"
    if not case.reshaped and key not in case.tested.compiled:
        example = case.moved(list(case.tested.example))
        case.tested.compiled[key] = example.value(example.at(WIDE))
    return [] if case.reshaped else case.tested.compiled[key]


def _jumps(rises: np.ndarray, least: float) -> bool:
    """Whether what the function rises by on one side (a column) is the same for all steps, and more than noise."""
    low, high = rises.min(0), rises.max(0)
    return len(rises) > 1 and bool(np.any((low > least) & (high - low <= SAME * high)))


def _slope(case: CallUnderTest, direction: list[np.ndarray], y_bar: Any, base: list[np.ndarray], h: float) -> float:
    arrays = case.at(WIDE)
    for n, u in zip(case.perturbed, direction, strict=True):
        arrays[n] = arrays[n] + h * u
    try:
        moved = case.value(arrays)
    except Exception as error:  # a solver, say, that refuses a matrix which is not symmetric
        raise NotRunError("the function has no value beside the point") from error
    return sum(float(np.sum(np.asarray(g, WIDE) * (m - b))) for g, m, b in zip(y_bar, moved, base, strict=True)) / h
