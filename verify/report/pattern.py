"""From two arrays that should be equal: which elements are wrong, in what way, and what usually makes it so.

A pattern has two halves. *Where*: one element, one sample, a channel, the last row, a border, a stride lattice, the
ties, everywhere. *How*: zero, the wrong sign, a constant factor, flipped, transposed, shifted, permuted, not finite.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from verify.report.causes import cause_of

LATTICE = "stride lattice"


def pattern_of(
    expected: np.ndarray, got: np.ndarray, bad: np.ndarray, primal: np.ndarray | None = None, batch: int | None = None
) -> tuple[str, str]:
    """(pattern, likely cause). `bad` marks the wrong elements, `primal` is the argument, for ties among its values."""
    whole = _rearranged(expected, got)
    if whole and bad.sum() > 1:
        return whole, cause_of(whole, expected.ndim)
    where = _where(bad, (expected == 0) & (got == 0), primal)
    how = _how(expected[bad], got[bad], batch) or _by_channel(expected, got, bad)
    if where == "one element" and how.startswith("×"):
        how = ""  # any two numbers have a ratio
    text = ", ".join(part for part in (how, where) if part)
    return text or "scattered", cause_of(text, expected.ndim)


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    scale = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return scale > 0 and bool(np.all(np.isfinite(a) & np.isfinite(b))) and float(np.abs(a - b).max()) <= 1e-4 * scale


def _rearranged(e: np.ndarray, g: np.ndarray) -> str:
    """The whole array is right but in the wrong order, or of the wrong sign or scale."""
    if e.size < 2 or not np.all(np.isfinite(g)) or _close(e, g):
        return ""
    for axes, flipped in _flips(e):
        if _close(flipped, g):
            return f"flipped along ax{'es' if len(axes) > 1 else 'is'} {axes if len(axes) > 1 else max(axes)}"
    for i, j in combinations(range(e.ndim), 2):
        if e.shape[i] == e.shape[j] and _close(np.swapaxes(e, i, j), g):
            return f"transpose of axes {i} and {j}"
    for axis in range(e.ndim):
        for step in (1, -1):
            if e.shape[axis] > 2 and _close(_shift(e, axis, step), g):
                return f"shifted by {step:+d} along axis {axis}"
        for step in (1, -1, 2, -2):
            if e.shape[axis] > abs(step) + 1 and _close(np.roll(e, step, axis), g):
                return f"rolled by {step:+d} along axis {axis}"
    if e.size <= 1_000_000 and np.ptp(e) > 0 and _close(np.sort(e.ravel()), np.sort(g.ravel())):
        return "permutation"
    return ""


def _flips(e: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    axes = [a for a in range(e.ndim) if e.shape[a] > 1]
    for count in (1, 2, 3):
        for chosen in combinations(axes, count):
            yield chosen, np.flip(e, chosen)


def _shift(e: np.ndarray, axis: int, step: int) -> np.ndarray:
    out = np.roll(e, step, axis)
    edge = [slice(None)] * e.ndim
    edge[axis] = slice(0, step) if step > 0 else slice(step, None)
    out[tuple(edge)] = 0
    return out


def _how(e: np.ndarray, g: np.ndarray, batch: int | None) -> str:
    if not np.all(np.isfinite(g)):
        return "not finite"
    if np.all(np.abs(g) <= 1e-12 * np.abs(e).max(initial=0)):
        return "zero"  # or the rounding of it
    clear = np.abs(e) > 1e-6 * np.abs(e).max(initial=0)
    if clear.any():
        ratios = g[clear] / e[clear]
        r = float(np.median(ratios))
        if np.all(np.abs(ratios - r) <= 1e-3 * max(abs(r), 1e-3)) and np.all(
            np.abs(g[~clear]) <= 1e-3 * np.abs(g).max()
        ):
            return _factor(r, batch)
    shift = g - e
    if e.size > 2 and np.ptp(shift) <= 1e-4 * abs(float(shift.mean())):
        return f"offset by {shift.mean():+.4g}"
    if np.all(e == 0):
        return "nonzero where zero was expected"
    if e.size > 3 and np.all(g == g.flat[0]):
        return "the same value at every element"
    return ""


def _by_channel(e: np.ndarray, g: np.ndarray, bad: np.ndarray) -> str:
    """Each wrong channel is off by a factor of its own: a scale or a variance left out, where some may have been 1."""
    if e.ndim < 2:
        return ""
    wrong = np.flatnonzero(bad.any(axis=tuple(range(e.ndim - 1))))
    clear = np.abs(e) > 1e-6 * np.abs(e).max(initial=0)
    for c in wrong:
        large = clear[..., c]
        ratios = g[..., c][large] / e[..., c][large]
        if large.sum() < 2 or np.ptp(ratios) > 1e-3 * max(abs(float(np.median(ratios))), 1e-3):
            return ""
    return "another factor in each channel" if len(wrong) > 1 else ""


def _factor(r: float, batch: int | None) -> str:
    if abs(r + 1) < 1e-3:
        return "sign"
    for size, name in ((r, ""), (1 / r if r else 0.0, "1/")):
        if batch and batch > 1 and abs(size - batch) < 1e-3 * batch:
            return f"×{name}{batch} (the batch size)"
        if abs(size) > 1.5 and abs(size - round(size)) < 1e-3 * abs(size):
            return f"×{name}{round(size)}"
    if f"{r:.4g}" == "1":  # "×1" would say that nothing is wrong
        return f"×(1 {'+' if r > 1 else '-'} {abs(r - 1):.1e})"
    return f"×{r:.4g}"


def _where(bad: np.ndarray, neutral: np.ndarray, primal: np.ndarray | None) -> str:
    """`neutral` elements are zero, as they should be, whatever is wrong with the rule: they tell nothing."""
    count = int(bad.sum())
    if count > 1 and np.all(bad | neutral):
        return "everywhere"
    if bad.size == 1:
        return "the only element"
    if count == 1:
        return "one element"
    if primal is not None and (half := _half(bad, neutral, primal)):
        return half
    if primal is not None and primal.shape == bad.shape and _tied(primal)[bad].all() and not _tied(primal).all():
        return "ties"
    if _one_of_every_row(bad):
        return "one element of every row"
    for axis in range(bad.ndim):
        hit = np.flatnonzero(bad.any(axis=tuple(a for a in range(bad.ndim) if a != axis)))
        described = _along(axis, hit, bad.shape[axis], bad.ndim)
        thin = count <= np.take(bad, hit, axis).size // 2  # a few elements may lie on a lattice by chance
        if described and not (thin and LATTICE in described):
            return described
    if _on_border(bad):
        return "border"
    lattice = _lattice(bad)
    if lattice:
        return lattice
    share = count / bad.size
    return "almost everywhere" if share > 0.9 else f"scattered over {count} of {bad.size} elements"


def _half(bad: np.ndarray, neutral: np.ndarray, primal: np.ndarray) -> str:
    """Of a triangular matrix the half of zeros, where that is all wrong."""
    if primal.shape != bad.shape or bad.ndim < 2 or bad.shape[-1] != bad.shape[-2] or bad.shape[-1] < 3:
        return ""
    ones = np.ones_like(bad)
    for side, half in (("above", np.triu(ones, 1)), ("below", np.tril(ones, -1))):
        if not bad[~half].any() and not primal[half].any() and np.all(bad | neutral | ~half):
            return f"{side} the diagonal"
    return ""


def _one_of_every_row(bad: np.ndarray) -> bool:
    """As where an index picks: a label, a winner, the diagonal."""
    rows = bad.reshape(-1, bad.shape[-1])
    return len(rows) > 2 and bool(np.all(rows.sum(axis=1) == 1)) and int(rows.any(axis=0).sum()) > 1


def _along(axis: int, hit: np.ndarray, size: int, rank: int) -> str:
    """What the set of wrong indices along one axis looks like, when it is not all of them."""
    if size < 2 or len(hit) == size:
        return ""
    noun = "sample" if axis == 0 and rank > 1 else "channel" if axis == rank - 1 and rank > 1 else "row"
    on = "" if noun != "row" else f" (axis {axis})"
    ends = len(hit) == 2 and set(hit) == {0, size - 1}
    if ends and (size > 3 or (size > 2 and rank > 2 and noun == "row")):
        return f"border{on}"
    if len(hit) == size - 1 and hit[0] == 1 and np.all(np.diff(hit) == 1):
        return f"every {noun} but the first{on}"
    if len(hit) == 1 and hit[0] in (0, size - 1):
        return f"{'first' if hit[0] == 0 else 'last'} {noun}{on}"
    if len(hit) == 1:
        return f"one {noun}, number {hit[0]}{on}"
    steps = np.unique(np.diff(hit))
    if len(steps) == 1 and steps[0] > 1 and hit[0] < steps[0] and hit[-1] + steps[0] >= size:
        return f"{LATTICE}: every {steps[0]} along axis {axis}, from {hit[0]}"
    if np.all(steps == 1):
        if hit[-1] == size - 1:
            return f"last {len(hit)} {noun}s{on}"
        if hit[0] == 0:
            return f"first {len(hit)} {noun}s{on}"
    return f"some {noun}s{on}: {', '.join(map(str, hit[:6]))}{'…' if len(hit) > 6 else ''}"


def _on_border(bad: np.ndarray) -> bool:
    inner = [a for a in range(bad.ndim) if bad.shape[a] > 2]
    for axes in [inner[1:-1] if len(inner) > 2 else inner, inner]:
        if len(axes) >= 1:
            core = tuple(slice(1, -1) if a in axes else slice(None) for a in range(bad.ndim))
            if bad[core].size and not bad[core].any():
                return True
    return False


def _lattice(bad: np.ndarray) -> str:
    """Wrong everywhere except on a lattice: every s-th index along one or two axes is right."""
    for axis in range(bad.ndim):
        right = np.flatnonzero(~bad.any(axis=tuple(a for a in range(bad.ndim) if a != axis)))
        if len(right) > 1:
            steps = np.unique(np.diff(right))
            if len(steps) == 1 and steps[0] > 1:
                return f"{LATTICE}: all but every {steps[0]} along axis {axis}"
    for i, j in combinations(range(bad.ndim), 2):
        for step in (2, 3, 4):
            if bad.shape[i] < 2 * step or bad.shape[j] < 2 * step:
                continue
            classes = np.array([[_pick(bad, i, j, a, b, step).mean() for b in range(step)] for a in range(step)])
            if (classes > 0.8).any() and (classes == 0).any() and np.all((classes > 0.8) | (classes == 0)):
                return f"{LATTICE} of {step} along axes {i} and {j}"
    return ""


def _pick(bad: np.ndarray, i: int, j: int, a: int, b: int, step: int) -> np.ndarray:
    index: list[slice] = [slice(None)] * bad.ndim
    index[i], index[j] = slice(a, None, step), slice(b, None, step)
    return bad[tuple(index)]


def _tied(x: np.ndarray) -> np.ndarray:
    """Elements that share their value with another, or are exactly zero."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (counts[inverse].reshape(x.shape) > 1) | (x == 0)
