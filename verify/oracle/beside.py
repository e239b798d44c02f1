"""Autodiff beside the point: the oracle where a smooth function is written with kinks that cancel.

max(z, 0) - z t + log(1 + exp(-|z|)) is smooth, and autodiff at z = 0 is wrong, as it is of `where(x == 0, 0, x log y)`
at x = 0. A little to every side of the point it is right, and where all sides agree their common limit is the
derivative.
"""

from dataclasses import dataclass

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.tolerance import largest, smallest_normal, wrong_elements
from verify.running import WIDE, call, compiled, pullback

STEP = 1e-6  # relative to the array; what remains after extrapolation is of the order of its square
AGREE = 1e-5  # of the leaf's largest element
SIDES = 64
ALIKE = 1e-13  # of an output: nothing but rounding


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
    rng = np.random.default_rng((case.seed, 10))
    mixed = [rng.standard_normal(case.arrays[n].shape) for n in case.perturbed]
    # Away from 0 on all sides: a number drawn near it would be no step.
    mixed = [np.sign(u) * (0.5 + np.abs(u)) for u in mixed]
    above = [np.abs(u) for u in mixed]
    sides = [_side(case, u, sign) for u in (above, mixed) for sign in (1.0, -1.0)]
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


def tends_to(case: CallUnderTest, leaf: int, at: tuple[int, ...], limit: np.ndarray, room: np.ndarray) -> bool:
    """Whether autodiff of the element `at` still tends to this limit when other numbers move a hundred times as far:
    all up, all down, or half of them up, some a hundred times as far as others. Of equal numbers each is the largest,
    the smallest or the median on some such side, and so are equal functions of them, such as x and x/2 at 0."""
    rng = np.random.default_rng((case.seed, 25))
    shapes = [case.arrays[n].shape for n in case.perturbed]
    for k in range(SIDES):
        sign = {0: [1], 1: [-1]}.get(k, [-1, 1])
        direction = [rng.choice(sign, s) * 10 ** rng.uniform(-2, 0, s) for s in shapes]
        for u in direction:
            if u.shape == shapes[leaf]:  # numbers at one place of two arrays tie together
                u[at] *= 0.01
        if not abs(_side(case, direction, 1.0)[leaf][at] - limit[at]) <= room[at]:
            return False
    return True


def from_one_side(case: CallUnderTest, got: list[np.ndarray], allowed: list[np.ndarray], bad: list[np.ndarray]) -> bool:
    """Whether all cotangents are together what autodiff tends to along a line through the point, on which ties are
    broken in order: equal numbers that an isotonic regression pools, say, as if they were out of order; or numbers
    that tie in what the function makes of them alone, such as the subnormal ones and zeros of both signs of which the
    `top_k` of a softmax sees equals, and that of its logits does not. At those that are `bad` autodiff at the point
    must be something else; a little off is no kink."""
    arrays = [case.arrays[n] for n in case.perturbed]
    ramp = [np.linspace(1, 2, a.size).reshape(a.shape) for a in arrays]
    tiny = smallest_normal(case.tested.dtype)
    own = [_ranks(a) / (largest(a) if 0 < largest(a) < tiny else 1.0) for a in arrays]
    lines = [[sign * r for r in ramp] for sign in (1.0, -1.0)]
    lines += [[o + sign * r * np.ptp(o) / o.size for o, r in zip(own, ramp, strict=True)] for sign in (1.0, -1.0)]
    return any(_agree(case, _side(case, line, 1.0), got, allowed, bad) for line in lines)


def _ranks(a: np.ndarray) -> np.ndarray:
    """The order of an array's numbers, from 0 to 1; equal ones are alike, and -0 comes before 0."""
    signed = np.stack([a.ravel(), np.where(np.signbit(a), 0, 1).ravel()])
    ranks = np.unique(signed, axis=1, return_inverse=True)[1].reshape(a.shape)
    return ranks / max(1, ranks.max(initial=0))


def _agree(
    case: CallUnderTest,
    limit: list[np.ndarray],
    got: list[np.ndarray],
    allowed: list[np.ndarray],
    bad: list[np.ndarray],
) -> bool:
    rooms = [a + 1e-8 * np.abs(v).max(initial=0) for v, a in zip(limit, allowed, strict=True)]
    parts = zip(limit, got, case.truth.cotangents, rooms, bad, strict=True)
    return all(bool(np.all((np.abs(g - v) <= r) & ~(b & (np.abs(e - v) <= r)))) for v, g, e, r, b in parts)


def _side(case: CallUnderTest, direction: list[np.ndarray], sign: float) -> list[np.ndarray]:
    """The cotangents that autodiff tends to from this side."""
    flat = case.tested.oracle(case.options)
    run = compiled(case, "beside", WIDE, lambda: pullback(flat, case.perturbed))
    far, near = (_at(case, run, case.at(WIDE), direction, sign * h) for h in (STEP, STEP / 2))
    return [2 * b - a for a, b in zip(far, near, strict=True)]


def _at(case: CallUnderTest, run, arrays: list, direction: list, h: float) -> list[np.ndarray]:
    moved = list(arrays)
    for n, u in zip(case.perturbed, direction, strict=True):
        scale = largest(arrays[n]) or 1.0
        moved[n] = arrays[n] + h * scale * u
    return [np.asarray(b, WIDE) for b in call(run, WIDE, moved, case.cotangent(WIDE, case.y_bar))[1]]


def without_symmetric_parts(
    case: CallUnderTest, got: list[np.ndarray], allowed: list[np.ndarray], bad: list[np.ndarray]
) -> list[np.ndarray]:
    """`bad` without cotangents that differ from the oracle's where it does not matter: the argument is a symmetric
    matrix in the example, and moves along symmetric changes alone. They are the symmetric part of the oracle's, or,
    where the function itself reads that part or one triangle alone, any with the same one. Antisymmetric ones
    likewise."""
    left = list(bad)
    for k, (g, a, b) in enumerate(zip(got, allowed, bad, strict=True)):
        words = {d.words for d in case.tested.leaves[case.tested.arrays[case.perturbed[k]]].domain}
        if b.any() and words & {"symmetric", "positive definite", "antisymmetric"}:
            g, sign = np.asarray(g, WIDE), -1 if "antisymmetric" in words else 1
            half = _part(case.truth.cotangents[k], sign)
            room = np.maximum(np.maximum(a, np.swapaxes(a, -1, -2)), case.own_unit * largest(half))
            if not wrong_elements(half, g, room).any() or (
                not wrong_elements(half, _part(g, sign), room).any() and _reads_one_part(case, case.perturbed[k], sign)
            ):
                left[k] = np.zeros_like(b)
    return left


def _part(a: np.ndarray, sign: int) -> np.ndarray:
    return (a + sign * np.swapaxes(a, -1, -2)) / 2


def _reads_one_part(case: CallUnderTest, n: int, sign: int) -> bool:
    """Whether the function of a matrix that is symmetric in the example does not see some change that is not symmetric:
    it symmetrises, or a factorisation reads one triangle. There a cotangent and its transpose are one."""
    arrays = case.at(WIDE)
    change = STEP * (largest(arrays[n]) or 1.0) * np.random.default_rng(case.seed).standard_normal(arrays[n].shape)
    before = case.value(arrays)
    for unseen in (_part(change, -sign), np.triu(change, 1), np.tril(change, -1)):
        moved = [a + unseen if m == n else a for m, a in enumerate(arrays)]
        pairs = zip(case.value(moved), before, strict=True)
        if all(np.abs(y - x).max(initial=0) <= ALIKE * largest(x) for y, x in pairs):
            return True
    return False
