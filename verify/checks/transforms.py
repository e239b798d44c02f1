"""JAX's transformations must commute with the rule.

The derivative of a function applied to each row is the derivative applied to each row; compiled or not, recomputed or
kept, in a loop or at once, the numbers are the same. A rule fails here if it counts on concrete values, on the rank
or the leading axis of its arguments, or on residuals that do not batch. Compared: eager, `vmap` of the pullback,
the pullback of `vmap`, `vmap` over one argument alone (mixed `in_axes`), `lax.map` inside and outside, and `remat`.
"""

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np

from verify.case import Case
from verify.generate.domain import INCREASING
from verify.oracle.compare import differences
from verify.oracle.instances import UNWRITTEN
from verify.oracle.noise import loop_noise
from verify.oracle.tolerance import ROOM, allowed_error, unit_roundoff
from verify.report.finding import Finding, NotRunError
from verify.running import OWN, WIDE, call, in_words, pullback, quickly, traced, unoptimised
from verify.subject import FLOAT, KEY, PERTURBED, first_line

NAME = "transforms"
EVERY_CASE = False


def findings(case: Case) -> list[Finding]:
    try:
        level, first = WIDE, case.wide[1]
    except NotRunError:
        level, first = OWN, case.own[1]
    flat = case.subject.flat(case.subject.rule, case.options)
    pull = pullback(flat, case.perturbed)
    arrays, y_bar = case.at(level), case.cotangent(level, case.y_bar)
    other, other_bar = _other(case, arrays), [-g[::-1] if g.ndim else -g for g in y_bar]
    second = case.moved(other).pull(level, other_bar)[1]
    both = [np.stack([a, b]) for a, b in zip(first, second, strict=True)]
    bars2 = [np.stack([a, b]) for a, b in zip(y_bar, other_bar, strict=True)]
    axes = [None if case.subject.leaves[k].kind == KEY else 0 for k in case.subject.arrays]
    pairs = [a if axis is None else np.stack([a, b]) for a, b, axis in zip(arrays, other, axes, strict=True)]
    runs: list[tuple[str, Callable, list, list[np.ndarray]]] = [
        ("eager, not under jit", lambda a, g: pull(a, g)[1], [arrays, y_bar], first),
        ("vmap of its pullback", lambda a, g: jax.vmap(pull, (axes, 0))(a, g)[1], [pairs, bars2], both),
        ("the pullback of its vmap", _of_vmap(flat, case.perturbed, axes), [pairs, bars2], both),
        ("lax.map of its pullback", _mapped(pull, axes), [pairs, bars2], both),
        ("the pullback of its scan", _of_scan(flat, case.perturbed, axes), [pairs, bars2], both),
        ("remat", lambda a, g: pullback(jax.checkpoint(flat), case.perturbed)(a, g)[1], [arrays, y_bar], first),
    ]
    for n in case.perturbed[:2]:
        mixed = [0 if m == n else None for m in range(len(arrays))]
        moved = list(arrays)
        moved[n] = other[n]
        third = case.moved(moved).pull(level, y_bar)[1]
        expected = [np.stack([a, b]) for a, b in zip(first, third, strict=True)]
        inputs = [pairs[m] if m == n else a for m, a in enumerate(arrays)]
        name = f"vmap over {case.names[case.perturbed.index(n)]} alone"
        runs.append((name, lambda a, g, mixed=mixed: jax.vmap(pull, (mixed, None))(a, g)[1], [inputs, y_bar], expected))
    seen: set[tuple] = set()
    notes: list[Finding] = []
    for name, fun, inputs, expected in runs:
        found = _compared(case, level, name, fun, inputs, expected, seen)
        if any(not f.note for f in found):
            return found
        notes += found
    return notes[:1]


def _compared(
    case: Case, level, name: str, fun: Callable, inputs: list, expected: list[np.ndarray], seen: set[tuple]
) -> list[Finding]:
    try:
        if name.startswith("eager"):
            with unoptimised():
                bars = call(fun, level, *inputs)
        else:
            run = quickly(fun)
            program = in_words(traced(run, level, *inputs))
            if program in seen:  # as the two orders of `vmap` and pullback mostly are
                return []
            seen.add(program)
            bars = call(run, level, *inputs)
        got = [np.asarray(b) for b in bars]
    except NotRunError:
        raise
    except NotImplementedError as error:
        if UNWRITTEN not in str(error):
            return [_raised(case, name, error)]
        text = f"{first_line(error).partition(': ')[2]}: {name} is refused"
        return [Finding(NAME, "the rule", None, None, None, "", text, case.label, note=True)]
    except Exception as error:
        return [_raised(case, name, error)]
    unit = case.narrowest if level is WIDE else unit_roundoff(case.subject.dtype)
    allowed = [_room(case, k, e, unit) for k, e in enumerate(expected)]

    def not_both_nan(bad: list[np.ndarray]) -> list[np.ndarray]:
        nan = [[np.isnan(np.asarray(a, np.float64)) for a in bars] for bars in (expected, got)]
        both = [e & g for e, g in zip(*nan, strict=True)]
        return [b & ~n for b, n in zip(bad, both, strict=True)]

    what = "a plain call's"
    found = differences(NAME, case, expected, got, allowed, names=case.names, what=what, unexplained=not_both_nan)
    return [_said(f, f"{case.label}, {name}") for f in found]


def _raised(case: Case, name: str, error: Exception) -> Finding:
    text = f"under {name} the rule raises {first_line(error)}"
    return Finding(NAME, "the backward rule", None, None, None, "raises", text, f"{case.label}, {name}")


def _said(found: Finding, label: str) -> Finding:
    return replace(found, case=label)


def _room(case: Case, k: int, expected: np.ndarray, unit: float) -> np.ndarray:
    """Another program may sum in another order: the oracle's magnitude, or the largest element where there is none."""
    size = float(np.abs(expected).max(initial=0))
    # A loop that stops by its own tolerance takes another number of steps in a batch.
    noise = loop_noise(case)
    floor = max(4 * unit_roundoff(case.subject.dtype), noise) * size if noise else 0.0
    try:
        magnitude = np.broadcast_to(case.truth.magnitudes[k].max(initial=0), expected.shape)
        return 2 * allowed_error(magnitude, WIDE) * unit / unit_roundoff(WIDE) + floor
    except NotRunError:
        return np.full(expected.shape, ROOM * unit * np.sqrt(expected.size) * size + floor)


def _other(case: Case, arrays: list) -> list:
    """A second example: the same numbers in another order, so that domains and spacings stay as they were."""
    leaves = [case.subject.leaves[k] for k in case.subject.arrays]

    def other(a, domain):
        if any(d.words in ("lower triangular", "upper triangular") for d in domain) or (
            INCREASING in domain and a.ndim == 1
        ):
            return a / 2
        both = any(d.words in ("positive definite", "symmetric") for d in domain)
        return np.ascontiguousarray(np.flip(a, (-1, -2) if both else 0))

    return [
        other(a, leaf.domain) if leaf.kind in (PERTURBED, FLOAT) and a.ndim else a
        for a, leaf in zip(arrays, leaves, strict=True)
    ]


def _of_vmap(flat: Callable, perturbed: list[int], axes: list) -> Callable:
    return lambda a, g: pullback(lambda *xs: jax.vmap(lambda *x: flat(*x), axes)(*xs), perturbed)(a, g)[1]


def _mapped(pull: Callable, axes: list) -> Callable:
    def run(arrays, y_bar):
        moving = [a for a, axis in zip(arrays, axes, strict=True) if axis == 0]
        return jax.lax.map(lambda t: pull(_joined(arrays, axes, t[0]), t[1])[1], (moving, y_bar))

    return run


def _of_scan(flat: Callable, perturbed: list[int], axes: list) -> Callable:
    def looped(*arrays):
        moving = [a for a, axis in zip(arrays, axes, strict=True) if axis == 0]
        return jax.lax.map(lambda t: flat(*_joined(arrays, axes, t)), moving)

    return lambda a, g: pullback(looped, perturbed)(a, g)[1]


def _joined(arrays, axes, moving):
    rest = iter(moving)
    return [next(rest) if axis == 0 else a for a, axis in zip(arrays, axes, strict=True)]
