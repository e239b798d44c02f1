"""Autodiff beside the point: the oracle where a smooth function is written with kinks that cancel.

max(z, 0) - z t + log(1 + exp(-|z|)) is smooth, and autodiff at z = 0 is wrong, as it is of `where(x == 0, 0, x log y)`
at x = 0. A little to every side of the point it is right, and where all sides agree their common limit is the
derivative.
"""

from dataclasses import dataclass

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.tolerance import largest, wrong_elements
from verify.running import WIDE, call, compiled, pullback

STEP = 1e-6  # relative to the array; what remains after extrapolation is of the order of its square
AGREE = 1e-5  # of the leaf's largest element


@dataclass(frozen=True)
class Limits:
    """Per perturbed leaf: the limit, and where all sides agree on it."""

    values: list[np.ndarray]
    smooth: list[np.ndarray]

    def agree(self, leaf: int, expected: np.ndarray, got: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """The elements of a cotangent that are this limit where autodiff at the point, `expected`, is not: elsewhere
        it is the sharper oracle."""
        value = self.values[leaf]
        room = allowed + 1e-8 * (np.abs(value) + np.abs(np.where(self.smooth[leaf], value, 0)).max(initial=0))
        with np.errstate(invalid="ignore"):
            return self.smooth[leaf] & (np.abs(got - value) <= room) & ~(np.abs(expected - value) <= room)


def limits(case: CallUnderTest) -> Limits:
    """What autodiff of the oracle tends to from above, from below and from two mixed sides."""
    flat = case.tested.oracle(case.options)
    run = compiled(case, "beside", WIDE, lambda: pullback(flat, case.perturbed))
    rng = np.random.default_rng((case.seed, 10))
    arrays = case.at(WIDE)
    mixed = [rng.standard_normal(arrays[n].shape) for n in case.perturbed]
    # Away from 0 on all sides: a number drawn near it would be no step.
    mixed = [np.sign(u) * (0.5 + np.abs(u)) for u in mixed]
    above = [np.abs(u) for u in mixed]
    sides = []
    for direction, sign in ((above, 1.0), (above, -1.0), (mixed, 1.0), (mixed, -1.0)):
        far, near = (_at(case, run, arrays, direction, sign * h) for h in (STEP, STEP / 2))
        sides.append([2 * b - a for a, b in zip(far, near, strict=True)])
    values, smooth = [], []
    with np.errstate(all="ignore"):
        for leaf in zip(*sides, strict=True):
            stack = np.stack(leaf)
            finite = np.isfinite(stack)
            count = finite.sum(0)
            mean = np.where(finite, stack, 0).sum(0) / np.maximum(count, 1)
            spread = np.where(finite, np.abs(stack - mean), 0).max(0)
            values.append(mean)
            smooth.append((count > 0) & (spread <= AGREE * max(float(np.abs(mean).max(initial=0)), 1e-30)))
    return Limits(values, smooth)


def _at(case: CallUnderTest, run, arrays: list, direction: list, h: float) -> list[np.ndarray]:
    moved = list(arrays)
    for n, u in zip(case.perturbed, direction, strict=True):
        scale = largest(arrays[n]) or 1.0
        moved[n] = arrays[n] + h * scale * u
    return [np.asarray(b, WIDE) for b in call(run, WIDE, moved, case.cotangent(WIDE, case.y_bar))[1]]


def without_symmetric_parts(
    case: CallUnderTest, got: list[np.ndarray], allowed: list[np.ndarray], bad: list[np.ndarray]
) -> list[np.ndarray]:
    """`bad` without cotangents that are the symmetric part of the oracle's, where the argument is a symmetric matrix
    in the example: it moves along symmetric changes alone, and for those the two are one. Antisymmetric ones likewise.
    """
    left = list(bad)
    for k, (g, a, b) in enumerate(zip(got, allowed, bad, strict=True)):
        words = {d.words for d in case.tested.leaves[case.tested.arrays[case.perturbed[k]]].domain}
        if b.any() and words & {"symmetric", "positive definite", "antisymmetric"}:
            e = case.truth.cotangents[k]
            half = (e + (-1 if "antisymmetric" in words else 1) * np.swapaxes(e, -1, -2)) / 2
            if not wrong_elements(half, np.asarray(g, WIDE), np.maximum(a, np.swapaxes(a, -1, -2))).any():
                left[k] = np.zeros_like(b)
    return left
