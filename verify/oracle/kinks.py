"""Kinks and ties: what a derivative may be where there is none.

At a kink the slope to the left, lim (F(x) - F(x - h e)) / h, and the slope to the right differ, and a rule may return
anything between. For a maximum of several inputs (convex, when ȳ ≥ 0) g is a subgradient only if along *every*
direction u

    -F'(x; -u) ≤ ⟨g, u⟩ ≤ F'(x; u)

Coordinates u = eᵢ bound each element alone; u = (1, …, 1) moves tied inputs together, breaks no tie, and so fixes
their total: a rule that gives a tie to no entry, or to every entry in full, passes the first and fails the second.
The cotangent is taken ≥ 0 here, otherwise the slopes of several outputs could cancel.
"""

import time
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle import beside, conventions, ties
from verify.oracle.noise import loop_noise
from verify.oracle.one_sided import slopes
from verify.oracle.primal import STOPS, equations, inlined
from verify.oracle.tolerance import allowed_error, any_true, largest, unit_roundoff, wrong_elements
from verify.report.finding import NotRunError
from verify.running import WIDE, call, compiled, pullback

PATIENCE = 5.0  # seconds for one argument's coordinates: loops that do not converge take long
FEW = 2  # elements of each argument whose slopes are looked at where a convention explains all
ALIKE = 1e-9  # of the largest element: two evaluations of one derivative
REFUTED = "autodiff is wrong in the example"
SAMPLED = 48  # coordinates looked at; enough to name a convention


def unexplained(
    case: CallUnderTest,
    level: Any,
    got: list[np.ndarray],
    allowed: list[np.ndarray],
    bad: list[np.ndarray],
    room: float = 1e-5,
) -> list[np.ndarray]:
    """Of the elements of each leaf that disagree with the oracle, those that no kink excuses; a reference says itself
    what to return at one, so there none does, unless what it says is the derivative of another function (a surrogate),
    whose kinks no reference decides. Excused are the limit of autodiff beside the point, where all sides agree on
    one; one convention for all kinks of the function; its limit along one line, of all elements together; and what lies
    between the one-sided slopes. `room` is relative to the slopes."""
    bad = beside.without_symmetric_parts(case, got, allowed, bad)
    if not any_true(bad) or not (case.tested.reference is None or stops_gradients(case)):
        return bad
    got = [np.asarray(g, WIDE) for g in got]
    bad = ties.without_shared(case, got, allowed, bad)
    try:
        near = beside.limits(case)
        triples = zip(case.truth.cotangents, got, allowed, strict=True)
        smooth = [near.agree(k, e, g, a) for k, (e, g, a) in enumerate(triples)]
    except Exception:
        smooth = [np.zeros(b.shape, bool) for b in bad]
    bad = [b & ~s for b, s in zip(bad, smooth, strict=True)]
    if not any_true(bad):
        return bad
    judged = [s | ~np.isfinite(e) for s, e in zip(smooth, case.truth.cotangents, strict=True)]
    if _one_convention(case, got, allowed, judged) and not _smooth(case, got, bad):
        return [np.zeros_like(b) for b in bad]
    if case.tested.reference is not None:  # its values have other slopes
        return bad
    if _from_one_side(case, got, allowed, bad):
        return [np.zeros_like(b) for b in bad]
    return [_by_slopes(case, k, level, b, room) if b.any() else b for k, b in enumerate(bad)]


def excused(case: CallUnderTest) -> list[np.ndarray]:
    """Per perturbed leaf, the elements at which the rule differs from autodiff and a kink explains it: other checks
    that lean on autodiff leave them out."""
    none = [np.zeros(case.arrays[n].shape, bool) for n in case.perturbed]
    try:
        truth, got = case.truth, case.wide[1]
        ratio = max(1.0, case.narrowest / unit_roundoff(WIDE))
        allowed = [allowed_error(m, WIDE) * ratio for m in truth.magnitudes]
        wrong = [wrong_elements(e, g, a) for e, g, a in zip(truth.cotangents, got, allowed, strict=True)]
        left = unexplained(case, WIDE, got, allowed, wrong)
        return [w & ~b for w, b in zip(wrong, left, strict=True)]
    except (NotRunError, ValueError):
        return none


def stops_gradients(case: CallUnderTest) -> bool:
    """Whether the oracle stops gradients: its derivative is declared, as that of a straight-through estimator is."""
    key = ("surrogate", repr(sorted(case.options.items())))
    if key not in case.tested.compiled:
        closed = jax.make_jaxpr(case.tested.oracle(case.options))(*case.arrays)
        case.tested.compiled[key] = any(e.primitive.name == "stop_gradient" for e in equations(closed))
    return case.tested.compiled[key]


def holds_steps(case: CallUnderTest) -> bool:
    """Whether a `while` of the function stops gradients in its body: a solver whose steps follow its own error, and are
    held constant. Its values have another slope than its derivative, by about its tolerance."""
    closed = jax.make_jaxpr(case.tested.oracle(case.options))(*case.arrays)
    loops = [e for e in equations(closed) if e.primitive.name == "while"]
    return any(e.primitive.name == "stop_gradient" for loop in loops for e in equations(loop.params["body_jaxpr"]))


def stops_matter(case: CallUnderTest) -> bool:
    """Whether a stop_gradient changes the oracle's derivative here. That of a softmax's or a logsumexp's largest number
    does not: what is lost beside it is lost by something else."""
    if not stops_gradients(case):
        return False
    without_stops = inlined(case.tested.oracle(case.options), STOPS)
    try:
        run = compiled(case, "without stops", WIDE, lambda: pullback(without_stops, case.perturbed))
        bars = call(run, WIDE, case.at(WIDE), case.cotangent(WIDE, case.y_bar))[1]
        pairs = zip(bars, case.truth.cotangents, strict=True)
        return any(np.any(np.abs(np.asarray(b, WIDE) - t) > ALIKE * largest(t)) for b, t in pairs)
    except Exception:  # it has no derivative without them
        return True


def _one_convention(
    case: CallUnderTest, got: list[np.ndarray], allowed: list[np.ndarray], smooth: list[np.ndarray]
) -> bool:
    """Whether some slopes at the kinks make autodiff agree with every element that is not excused already."""
    kinds: list[str] = case.tested.compiled.setdefault(("kinds of kink", repr(sorted(case.options.items()))), [])
    flat = case.tested.oracle(case.options)

    def build():
        def pull(arrays, y_bar, slopes):
            sloped = conventions.with_slopes(flat, kinds, case.perturbed)
            return pullback(lambda *args: sloped(slopes[0], *args), case.perturbed)(arrays, y_bar)

        return pull

    try:
        run = compiled(case, "conventions", WIDE, build)
        arrays, y_bar = case.at(WIDE), case.cotangent(WIDE, case.y_bar)
        native = call(run, WIDE, arrays, y_bar, [np.full(conventions.MOST, 0.5)])[0]
        for slopes in conventions.settings(kinds):
            y, bars = call(run, WIDE, arrays, y_bar, [slopes])
            if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(y, native, strict=True)):
                continue
            wrong = [wrong_elements(e, g, a) & ~s for e, g, a, s in zip(bars, got, allowed, smooth, strict=True)]
            if not any_true(wrong):
                return True
    except Exception:  # a primitive that cannot be rewritten: the slopes decide
        return False
    return False


def _from_one_side(
    case: CallUnderTest, got: list[np.ndarray], allowed: list[np.ndarray], bad: list[np.ndarray]
) -> bool:
    try:
        return beside.from_one_side(case, got, allowed, bad)
    except Exception:  # the function has no derivative beside the point
        return False


def _smooth(case: CallUnderTest, got: list[np.ndarray], bad: list[np.ndarray]) -> bool:
    """Whether the function has a slope at some of the elements that are bad, and the rule another one: the kinks of its
    formula cancel there, as in max(x, 0) + log(1 + exp(-|x|)), and leave no convention to choose."""
    try:
        for leaf, (mine, where) in enumerate(zip(got, bad, strict=True)):
            for index in [tuple(i) for i in np.argwhere(where)[:FEW]]:
                s = slopes(case, _along(case, leaf, index), case.y_bar)
                if s.sharp and not s.kink and not s.admit(float(mine[index]), 1e-5 * abs(s.left)):
                    return True
    except NotRunError:
        pass
    return False


def _by_slopes(case: CallUnderTest, leaf: int, level: Any, bad: np.ndarray, room: float) -> np.ndarray:
    y_bar = tuple(np.asarray(np.abs(g)) for g in case.y_bar)
    try:
        got = [np.asarray(b, WIDE) for b in case.pull(level, y_bar)[1]]
        expected = replace(case, y_bar=y_bar).truth.cotangents[leaf]
        remaining = _coordinates(case, leaf, got[leaf], expected, bad, y_bar, room)
        if remaining.all():
            return bad
        if not _moves_together(case, got, y_bar, room):
            return bad
    except NotRunError:
        return bad
    out = np.zeros_like(bad)
    for index, wrong in zip(sampled(bad), remaining, strict=False):
        out[index] = wrong
    return out


def sampled(bad: np.ndarray) -> list[tuple[int, ...]]:
    """The places of some of the elements that are bad, of few of them all."""
    return [tuple(index) for index in np.argwhere(bad)[:: max(1, int(bad.sum()) // SAMPLED)]]


def _coordinates(
    case: CallUnderTest, leaf: int, got: np.ndarray, expected: np.ndarray, bad: np.ndarray, y_bar: Any, room: float
) -> np.ndarray:
    """For a sample of the bad elements: whether each is still wrong once kinks are allowed for.

    An element is excused at a kink between whose slopes it lies, where the function is smooth but its formula is
    not (max(a, b) + log(1 + exp(-|a - b|)) at a = b): there autodiff may be wrong, and the differences say so; and
    where the function jumps (z / |z| at 0, counts of chosen experts at ties): any finite number is as right as another.
    Of a bisection, whose autodiff was wrong in the example, coarse differences need not exclude it again.
    """
    verdicts, start, noisy = [], time.perf_counter(), loop_noise(case) > 0
    for index in sampled(bad):
        if verdicts and time.perf_counter() - start > PATIENCE:
            break
        s = slopes(case, _along(case, leaf, index), y_bar)
        slack = room * max(abs(s.left), abs(s.right))
        otherwise = not s.admit(float(expected[index]), slack)
        between = s.admit(float(got[index]), slack) and (s.kink or otherwise or (noisy and refuted(case)))
        if case.example and between and otherwise and not s.kink:
            case.tested.compiled[REFUTED] = True
        excused = between or (s.jump and bool(np.isfinite(got[index])))
        verdicts.append(not excused)
    return np.array(verdicts, bool)


def refuted(case: CallUnderTest) -> bool:
    """Whether differences of the example say that its autodiff is wrong and its rule right, as of a bisection."""
    return REFUTED in case.tested.compiled


def _along(case: CallUnderTest, leaf: int, index: tuple[int, ...]) -> list[np.ndarray]:
    """The direction in which one element alone grows."""
    direction = [np.zeros(case.arrays[n].shape) for n in case.perturbed]
    direction[leaf][index] = 1.0
    return direction


def _moves_together(case: CallUnderTest, got: list[np.ndarray], y_bar: Any, room: float) -> bool:
    """The directions that break no tie: all of one argument, all of all of them."""
    shapes = [case.arrays[n].shape for n in case.perturbed]
    leaves = range(-1, len(shapes))  # -1: all of them
    ones = [[np.ones(s) if k in (j, -1) else np.zeros(s) for j, s in enumerate(shapes)] for k in leaves]
    everything = sum(float(np.sum(np.abs(g))) for g in got)
    for direction in ones:
        s = slopes(case, direction, y_bar)
        along = sum(float(np.sum(g * u)) for g, u in zip(got, direction, strict=True))
        if not s.admit(along, room * everything):
            return False
    return True
