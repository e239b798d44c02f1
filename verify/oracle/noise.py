"""The noise of a function, as it iterates until a tolerance of its own or rounds: nothing below it is a fault.

Newton's method, conjugate gradients and fixed points stop once a residual is small; their values, and the cotangents
that a backward rule solves for in the same way, are right to about that times the conditioning. How much that is shows
when their loops go on for as long again.

Rounding is measured by moving inputs by a roundoff: where it cancels or grows (the deviation of equal numbers, the
logarithm of a sum at -1e5, a number rounded onto a kink), first-order analysis does not see it.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.budget import continued, iterates
from verify.oracle.tolerance import allowed_error, largest, smallest_normal, unit_roundoff
from verify.report.finding import NotRunError
from verify.running import FORWARD, OWN, RULE, WIDE, call, compiled, is_float, pullback, pushforward, quickly, traced
from verify.time_limit import timed

MOVES, MOVED_ALONE = 4, 3
REACH = 4  # how far beyond the results at moved inputs, in units of their spread
STOPPING = 1e-3  # of the largest element, where it cannot be measured: tolerances in use are 1e-5 to 1e-6
FINEST, COARSEST = 1e-5, 1e-2  # measured noise below the first counts as that; above the second it is no convergence
BLUNT = 1e-6  # of the largest element: a bound above it, in float64, says nothing
MEASURED = 64.0  # times what rounding is measured to do
SINGULAR = 1e12  # times the example's cotangents
VANISHED, ROUNDOFFS = 1e-4, 16.0  # of the example's cotangents, and the error left then
SIZES = "size of each cotangent of the example"
CONVERGED = 15  # times as many iterations as a loop asks for: to a tenth of a tolerance, and its tangent, too
ROOM = 8.0  # times what is measured: the distance between two iterates, not that to the limit


def loop_noise(case: CallUnderTest) -> float:
    """Relative to the largest element: 0 where no loop of the rule, forward or backward, ends by comparing floats."""
    key = ("loop noise", repr(sorted(case.options.items())))
    if key not in case.tested.compiled:
        case.tested.compiled[key] = _measured(case) if _iterates(case) else 0.0
    return case.tested.compiled[key]


def _measured(case: CallUnderTest) -> float:
    """How far values and cotangents, and forward mode of the oracle, move when loops go on for as long again."""
    flat, oracle = case.tested.flat(case.tested.rule, case.options), case.tested.oracle(case.options)
    rng = np.random.default_rng((case.seed, 17))
    arrays, y_bar = case.at(WIDE), case.cotangent(WIDE, case.y_bar)
    tangents = [rng.standard_normal(arrays[n].shape) for n in case.perturbed]
    pull = lambda level: compiled(case, RULE, level, lambda: pullback(flat, case.perturbed))  # noqa: E731
    push = compiled(case, FORWARD, WIDE, lambda: pushforward(oracle, case.perturbed))
    programs = (  # those that the checks run too, so that they are compiled once
        (WIDE, pull(WIDE), [arrays, y_bar]),
        (OWN, pull(OWN), [case.at(OWN), case.cotangent(OWN, case.y_bar)]),
        (WIDE, push, [arrays, tangents]),
    )
    moves = [m for m in (_moved_by_going_on(*program) for program in programs) if m is not None]
    worst = ROOM * max(moves, default=np.inf)
    return max(worst, FINEST) if worst <= COARSEST else STOPPING


def _moved_by_going_on(level: Any, run: Callable, inputs: list) -> float | None:
    """Relative to the largest element of each result; None where the program does not run at this level."""
    try:
        pairs = list(zip(_flat(call(run, level, *inputs)), going_on(run, level, *inputs, times=1), strict=True))
    except Exception:  # forward mode does not reach everywhere, and not every rule runs in float64
        return None
    moves = [largest(np.asarray(b, WIDE) - np.asarray(a, WIDE)) / (largest(a) or 1.0) for a, b in pairs if is_float(a)]
    return max(moves, default=0.0)


def going_on(run: Callable, level: Any, *inputs: list, times: int = CONVERGED) -> list[np.ndarray]:
    """The results of a `call`, flat, with its loops run on: closer to what they converge to."""
    closed = traced(run, level, *inputs)
    longer = _longer(closed, times)
    with timed((closed, f"longer {times}")):
        return _flat(call(lambda *parts: longer(*[a for part in parts for a in part]), level, *inputs))


def bars_going_on(case: CallUnderTest, bars: list[np.ndarray]) -> list[np.ndarray]:
    """The rule's cotangents in float64 with its loops run on: what a loose tolerance leaves of a solution is no fault
    of its derivative. `bars` where the values have converged, so that only a loop of the backward rule is loose, or
    where the rule does not run in float64."""
    flat, count = case.tested.flat(case.tested.rule, case.options), len(case.perturbed)
    try:
        pairs = zip(case.value(case.at(WIDE)), case.value(case.at(WIDE), through=going_on), strict=True)
        if all(largest(after - before) <= FINEST * largest(before) for before, after in pairs):
            return bars
        run = compiled(case, RULE, WIDE, lambda: pullback(flat, case.perturbed))
        return going_on(run, WIDE, case.at(WIDE), case.cotangent(WIDE, case.y_bar))[-count:]
    except Exception:
        return bars


@functools.lru_cache(maxsize=32)
def _longer(closed: Any, times: int) -> Callable:
    return quickly(lambda *args: continued(closed, times)(*args)[0])


def _flat(outputs: Any) -> list[np.ndarray]:
    return [np.asarray(a) for a in jax.tree_util.tree_leaves(outputs)]


def within_noise(
    case: CallUnderTest, got: Sequence[np.ndarray], dtype: Any, draws: int = MOVES, unit: float | None = None
) -> list[np.ndarray]:
    """Per perturbed leaf, where a cotangent computed in `dtype` is what the oracle says for inputs that lie a roundoff
    away. To be asked of a rule that is right in float64: a tie, too, is a roundoff away from both of its sides."""
    unit = unit or unit_roundoff(case.tested.dtype if dtype is OWN else dtype)
    try:
        moved = [case.moved(arrays).truth.cotangents for arrays in _moves(case, unit, draws)]
    except NotRunError:
        return [np.zeros(np.shape(g), bool) for g in got]
    excused = []
    for k, g in enumerate(got):
        values = np.stack([m[k] for m in moved])
        low, high = values.min(0), values.max(0)
        reach = REACH * (high - low)
        with np.errstate(invalid="ignore"):
            excused.append((low - reach <= g) & (g <= high + reach) & (high > low))
    return excused


def measured(case: CallUnderTest, leaf: int, allowed: np.ndarray, unit: float) -> np.ndarray:
    """The error `allowed` of a cotangent in float64, or less: where the bound says nothing, as errors grow in it that
    die out in the numbers (an elimination), what inputs a roundoff away change is measured."""
    size = largest(case.truth.cotangents[leaf])
    floor = BLUNT * size * unit / unit_roundoff(WIDE)
    if not largest(allowed) > floor:
        return allowed
    key = ("moved", case.label, repr(sorted(case.options.items())))
    if key not in case.tested.compiled:
        case.tested.compiled[key] = _moved_truth(case, unit)
    moved = MEASURED * case.tested.compiled[key][leaf]
    return np.minimum(allowed, max(floor, moved)) if moved < size else allowed


def _moved_truth(case: CallUnderTest, unit: float) -> list[float]:
    """Per perturbed leaf, how far the oracle's cotangent moves at most; infinite where it is not finite there."""
    moved = [case.moved(arrays).truth.cotangents for arrays in _moves(case, unit)]
    with np.errstate(invalid="ignore"):
        apart = [[np.abs(m[k] - e).max(initial=0) for m in moved] for k, e in enumerate(case.truth.cotangents)]
    return [float(np.max(np.nan_to_num(a, nan=np.inf))) for a in apart]


def moved_by_roundoff(case: CallUnderTest, run: Callable, values: list[np.ndarray]) -> list[np.ndarray]:
    """How far the outputs `values` of `run(arrays)` move, at most in a few draws, when every input moves by one
    roundoff."""
    noise = [np.zeros(np.shape(v)) for v in values]
    for arrays in _moves(case, unit_roundoff(case.tested.dtype)):
        moved = call(run, OWN, [a.astype(o.dtype) for a, o in zip(arrays, case.arrays, strict=True)])
        pairs = zip(noise, moved, values, strict=True)
        noise = [
            np.fmax(size, np.abs(np.asarray(m, np.float64) - np.asarray(v, np.float64))) if is_float(v) else size
            for size, m, v in pairs
        ]
    return noise


def truth_moved_by_roundoff(case: CallUnderTest) -> list[np.ndarray]:
    """How far the oracle's outputs move then. Near its root a function has no digits of its own size: those of its
    inputs decide."""
    outputs = [case.moved(arrays).truth.outputs for arrays in _moves(case, unit_roundoff(case.tested.dtype))]
    pairs = [(y, [o[k] for o in outputs]) for k, y in enumerate(case.truth.outputs)]
    return [np.max([np.abs(m - y) for m in moved], axis=0) if is_float(y) else np.zeros(y.shape) for y, moved in pairs]


def _moves(case: CallUnderTest, unit: float, draws: int = MOVES) -> list[list[Any]]:
    """The arrays moved by one roundoff: one at a time up and down as a whole, and every element at random."""
    rng = np.random.default_rng((case.seed, 15))
    signs = [{n: sign} for n in case.perturbed[:MOVED_ALONE] for sign in (1.0, -1.0)]
    signs += [{n: rng.choice([-1.0, 1.0], case.arrays[n].shape) for n in case.perturbed} for _ in range(draws)]
    wide = [a.astype(WIDE) if n in case.perturbed else a for n, a in enumerate(case.arrays)]
    return [[a * (1 + 2 * unit * s[n]) if n in s else a for n, a in enumerate(wide)] for s in signs]


def compiled_otherwise(case: CallUnderTest) -> list[np.ndarray]:
    """The rule's cotangents at its own dtype, from a program that XLA fuses less. In numbers far beyond the example's a
    fused program that computes one of them twice rounds it twice: x - max x is above 0 then, and the distance of a
    point from itself is not 0. That is no doing of a rule."""
    return case.pull(OWN, case.y_bar, key="rule, fused less")[1]


def singular(case: CallUnderTest) -> bool:
    """Whether this is a generated call at which cotangents are larger than the example's by all that float64 resolves:
    the function divides by what is 0 but for rounding, as the rule of a decomposition does at equal eigenvalues."""
    grown = _grown(case, case.truth.cotangents)
    if case.example:
        # Where they cancel, as where a single weight is divided by itself, their terms: what is left is rounding.
        lost = all(largest(e) <= largest(allowed_error(m, WIDE)) for e, m in _with_magnitudes(case))
        usual = _grown(case, case.truth.magnitudes) if lost else grown
        case.tested.compiled["cotangents of the example"] = usual
        case.tested.compiled[SIZES] = [largest(e) for e in case.truth.cotangents]
    return grown > SINGULAR * (case.tested.compiled.get("cotangents of the example") or np.inf)


def cancelled(
    case: CallUnderTest, leaf: int, got: np.ndarray, unit: float, expected: np.ndarray | None = None
) -> np.ndarray:
    """Where a generated call makes the whole cotangent of a leaf vanish beside the example's, as equal colors do in a
    rendering and distances in a Gaussian kernel, what is left is the rounding, by `unit`, of terms of the example's
    size, in whichever order a formula adds them."""
    sizes = case.tested.compiled.get(SIZES)
    expected = case.truth.cotangents[leaf] if expected is None else expected
    if sizes is None or not largest(expected) < VANISHED * sizes[leaf]:
        return np.zeros(np.shape(got), bool)
    return np.abs(got - expected) <= ROUNDOFFS * unit * sizes[leaf]


def below_normal(case: CallUnderTest) -> bool:
    """Whether an argument is smaller throughout than the dtype of the call holds in full: below any guard in use."""
    return any(0 < largest(a) < smallest_normal(a.dtype) for a in _perturbed(case))


def _perturbed(case: CallUnderTest) -> list[np.ndarray]:
    return [case.arrays[n] for n in case.perturbed]


def _with_magnitudes(case: CallUnderTest) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(zip(case.truth.cotangents, case.truth.magnitudes, strict=True))


def _grown(case: CallUnderTest, bars: Sequence[np.ndarray]) -> float:
    return max((_elasticity(*pair) for pair in zip(_perturbed(case), bars, strict=True)), default=0.0)


def _elasticity(x: np.ndarray, bar: np.ndarray) -> float:
    return largest(bar) * (largest(np.asarray(x, WIDE)) or 1.0)


def _iterates(case: CallUnderTest) -> bool:
    try:
        return iterates(case.trace[0])
    except Exception:
        return False
