"""Elementwise comparison of arrays, leaf by leaf, into findings."""

from collections.abc import Callable, Sequence

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.tolerance import unit_roundoff, wrong_elements
from verify.report.finding import Finding
from verify.report.pattern import pattern_of

# Of the largest element: a difference as large, and still below the dtype, has nothing but noise beside it.
ROUNDING, ROUNDOFFS = 0.01, 32


def differences(
    check: str,
    case: CallUnderTest,
    expected: Sequence[np.ndarray],
    got: Sequence[np.ndarray],
    allowed: Sequence[np.ndarray],
    *,
    names: Sequence[str] | None = None,
    what: str = "the oracle's",
    unexplained: Callable[[list[np.ndarray]], list[np.ndarray]] | None = None,
    beyond: Sequence[np.ndarray] | None = None,
) -> list[Finding]:
    """One finding for each leaf with an element further from `expected` than `allowed`; of these elements, leaf by
    leaf, `unexplained` keeps those that nothing excuses. One whose elements all are within `beyond` is a note."""
    own_names = names is None
    names = case.names if names is None else names
    found = []
    shaped = all(e.shape == g.shape for e, g in zip(expected, got, strict=True))
    wrong = [wrong_elements(e, g, a) for e, g, a in zip(expected, got, allowed, strict=True)] if shaped else []
    if unexplained is not None and shaped:
        wrong = unexplained(wrong)
    for k, (name, e, g, tolerance) in enumerate(zip(names, expected, got, allowed, strict=True)):
        if e.shape != g.shape:
            found.append(
                Finding(check, name, None, None, None, "shape", f"shape is {g.shape}, expected {e.shape}", case.label)
            )
            continue
        bad = wrong[k] if shaped else wrong_elements(e, g, tolerance)
        if bad.any():
            primal = case.arrays[case.perturbed[k]] if own_names else None
            real = bad if beyond is None else bad & wrong_elements(e, g, beyond[k])
            if real.any():
                found.append(finding(check, case, name, e, g, real, tolerance, primal=primal, what=what))
            else:
                found.append(below_dtype(check, case, name, e, g, bad))
    return found


def below_dtype(
    check: str, case: CallUnderTest, name: str, expected: np.ndarray, got: np.ndarray, bad: np.ndarray
) -> Finding:
    """A difference that the dtype of the call cannot resolve, as a note."""
    e, g = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    worst = float(np.abs(g - e)[bad].max())
    size = float(np.abs(e).max(initial=0))
    dtype = np.dtype(case.tested.dtype).name
    noise = max(ROUNDING, ROUNDOFFS * unit_roundoff(case.tested.dtype))
    by = f"{worst / size:.1e} of the largest element" if worst < noise * size else f"{worst:.1e} beside 0"
    text = f"beyond {dtype}: {by} ({int(bad.sum())} of {e.size} elements), less than {dtype} can resolve"
    return Finding(check, name, None, None, None, "", text, case.label, note=True)


def outside_example(check: str, case: CallUnderTest, name: str, difference: str) -> Finding:
    """A difference where the numbers are not such as the example shows, as a note: no derivative is promised there."""
    text = f"outside of what the example shows, {difference}"
    return Finding(check, name, None, None, None, "", text, case.label, note=True)


def finding(
    check: str,
    case: CallUnderTest,
    name: str,
    expected: np.ndarray,
    got: np.ndarray,
    bad: np.ndarray,
    allowed: np.ndarray,
    *,
    primal: np.ndarray | None = None,
    what: str = "the oracle's",
) -> Finding:
    """The finding for one leaf: its worst elements, its pattern, its cause."""
    e, g = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        excess = np.where(bad, np.abs(g - e) / np.maximum(allowed, np.finfo(float).tiny), -1.0)
    excess = np.where(np.isnan(excess), np.inf, excess)
    order = np.argsort(excess, axis=None)[::-1][: min(4, int(bad.sum()))]
    top = tuple(
        (tuple(int(i) for i in np.unravel_index(k, e.shape)), float(e.flat[k]), float(g.flat[k])) for k in order
    )
    batch = next((a.shape[0] for a in case.arrays if a.ndim > 1), None)
    pattern, cause = pattern_of(e, g, bad, _as_float(primal), batch)
    index, want, have = top[0]
    number, size = int(bad.sum()), e.size
    with np.errstate(invalid="ignore", over="ignore"):
        worst = float(np.abs(np.float64(have) - want))
    limit = float(allowed.flat[order[0]])
    message = f"{number} of {size} elements differ from {what}, by {worst:.3g} where {limit:.2g} is allowed"
    return Finding(check, name, index, want, have, pattern, message, case.label, cause, top, heat_map(excess))


def _as_float(a: np.ndarray | None) -> np.ndarray | None:
    return None if a is None else np.asarray(a, np.float64)


def heat_map(excess: np.ndarray, side: int = 24) -> tuple[tuple[float, ...], ...]:
    """The error as a small picture, 0 (right) to 1 (worst): the two longest axes, the worst over the others."""
    a = np.where(np.isfinite(excess), np.maximum(excess, 0), np.finfo(float).max)
    a = np.log1p(a)
    if a.ndim == 0:
        a = a.reshape(1, 1)
    if a.ndim == 1:
        a = a[None]
    keep = sorted(np.argsort(a.shape, kind="stable")[-2:])
    a = a.max(axis=tuple(k for k in range(a.ndim) if k not in keep))
    rows, cols = (np.array_split(np.arange(n), min(n, side)) for n in a.shape)
    small = np.array([[a[np.ix_(r, c)].max() for c in cols] for r in rows])
    peak = small.max() or 1.0
    return tuple(tuple(float(round(v / peak, 3)) for v in row) for row in small)
