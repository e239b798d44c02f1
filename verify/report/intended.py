"""Gradients that are no derivatives, and meant to be none: straight-through, surrogate, reversed, clipped.

Each is named, with the `reference=` that declares it: a function with the same values and that derivative.
"""

from collections.abc import Callable

import numpy as np

from verify.report.evidence import Evidence, alike, bar, is_round, near, ratio, short

# Surrogates of a step in use: (how it is written, its slope), u the argument times a sharpness.
SURROGATES: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("jax.nn.sigmoid({u})", lambda u: np.exp(-np.abs(u)) / (1 + np.exp(-np.abs(u))) ** 2),
    ("jnp.arctan({u})", lambda u: 1 / (1 + u**2)),
    ("jax.nn.soft_sign({u})", lambda u: 1 / (1 + np.abs(u)) ** 2),
    ("(lambda c: c - c * abs(c) / 2)(jnp.clip({u}, -1, 1))", lambda u: np.maximum(0, 1 - np.abs(u))),
    ("jax.scipy.stats.norm.cdf({u})", lambda u: np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)),
)
SHARPNESS = (0.5, 1.0, np.pi / 2, 2.0, 3.0, np.pi, 4.0, 5.0, 8.0, 10.0, 16.0, 20.0, 25.0, 50.0, 100.0)
THRESHOLDS = (0.0, 0.5, 1.0)
UNDECLARED = "no function has such a derivative: clip outside of the rule, or give a reference= that clips as well"
FEWEST, MOST = 4, 4096  # elements that must agree on a surrogate's shape, and that are asked


def straight_through(seen: Evidence) -> str:
    """A slope where the function has none."""
    e, g, x, y_bar = seen.expected, seen.got, seen.value, _same_shape(seen)
    if np.any(e) or np.count_nonzero(g) < 2:
        return ""
    flat = "where the function is flat (its derivative is 0)"
    if y_bar is not None:
        if (r := ratio(y_bar, g, seen.tolerance)) is not None:
            name = "" if near(r, 1, seen.tolerance) else f"{short(r)} · " if r > 0 else f"−{short(-r)} · "
            passed = f"a straight-through estimator: {bar(seen.name)} = {name}ȳ {flat}"
            times = "" if not name else f"{short(r)} * "
            return f"{passed}; {_declared(seen, f'{times}{seen.name}')} declares it"
        kept = g != 0
        if kept.sum() > 1 and alike(y_bar[kept], g[kept], seen.tolerance):
            where, code = _range(seen.name, x, kept)
            said = f"a straight-through estimator: {bar(seen.name)} = ȳ {where}, 0 elsewhere"
            return f"{said}, though the function is flat (its derivative is 0); {_declared(seen, code)} declares it"
        slope = _surrogate(seen.name, x, y_bar, g, seen.tolerance)
        text = f"a surrogate gradient: the rule returns a slope {flat}"
        if slope:
            return f"{text}, that of {slope}; {_declared(seen, slope)} declares it"
        return f"{text}; {_declared(seen, f's({seen.name})')} declares it, s being a function with that slope"
    if not seen.example:
        return f"right as called, and here a slope {flat}: a mask or a special case of the function is missing"
    return (
        f"a slope {flat}: a straight-through or surrogate gradient; reference= declares it, a function with these "
        "values and that derivative, s(x) + stop_gradient(f(x) - s(x))"
    )


def passed_through(seen: Evidence) -> str:
    """ȳ itself where the function has another slope."""
    y_bar = _same_shape(seen)
    if y_bar is None or not alike(y_bar, seen.got, seen.tolerance):
        return ""
    if ratio(seen.expected, y_bar, seen.tolerance) is not None:
        return ""  # a number is missing, or a sign
    forgotten = "the slope of the function is forgotten"
    if seen.like(y_bar[seen.expected != 0], seen.expected[seen.expected != 0]):
        forgotten = "what the function masks or overwrites has a derivative of 0"
    return (
        f"{bar(seen.name)} is ȳ itself: {forgotten}, or this is a straight-through estimator, which "
        f"{_declared(seen, seen.name)} declares"
    )


def reversed_gradient(seen: Evidence) -> str:
    """x̄ = -λ ȳ behind a function that returns its argument."""
    y_bar = _same_shape(seen)
    same = any(y.shape == seen.value.shape and alike(y, seen.value, seen.tolerance) for y in seen.outputs)
    if y_bar is None or not same or not alike(y_bar, seen.expected, seen.tolerance):
        return ""
    r = ratio(y_bar, seen.got, seen.tolerance)
    if r is None or r >= 0:
        return ""
    x, named = seen.name, next((n for n, v in seen.scalars if near(v, -r, seen.tolerance)), "")
    one, scale = near(-r, 1, seen.tolerance), named or short(-r)
    kept, turned = (f"(1 + {named})", f"{named} * ") if named else (short(1 - r), "" if one else f"{scale} * ")
    said = f"reference=lambda {_arguments(seen)}: {kept} * stop_gradient({x}) - {turned}{x}"
    times = "" if one and not named else f"{scale} "
    return f"gradient reversal: {bar(x)} = −{times}ȳ, and the function returns its argument; {said} declares it"


def clipped(seen: Evidence) -> str:
    """The expected gradient, or ȳ before it, cut off at a bound or scaled to a norm."""
    e, g, y_bar = seen.expected, seen.got, _same_shape(seen)
    if bounds := _bounds(e, g, seen.tolerance):
        return f"a clipped gradient: {bar(seen.name)} is the expected one cut off at {bounds}; {UNDECLARED}"
    if y_bar is not None and np.all(e != 0):
        slope = e / np.where(y_bar == 0, 1, y_bar)
        if bounds := _bounds(y_bar, g / slope, seen.tolerance):
            return f"a clipped gradient: ȳ is cut off at {bounds} before the rule is applied; {UNDECLARED}"
        if bounds := _bounds(slope, g / np.where(y_bar == 0, 1, y_bar), seen.tolerance):
            return f"the slope of the function is cut off at {bounds}, ȳ is not"
    r = ratio(e, g, seen.tolerance)
    if r is None or r <= 0 or e.size < 3:
        return ""
    norms = [(float(np.linalg.norm(g)), bar(seen.name))]
    if len(seen.y_bar) == 1 and seen.y_bar[0].size > 2:
        norms.append((r * float(np.linalg.norm(seen.y_bar[0])), "ȳ"))
    for norm, what in norms:
        if is_round(norm, seen.tolerance):
            return f"a gradient of fixed norm: {what} is scaled to the norm {short(norm)}; {UNDECLARED}"
    return ""


def _bounds(e: np.ndarray, g: np.ndarray, tolerance: float) -> str:
    """±c, or "a and b" if `g` is `e` cut off there; at least two elements must be, or one at a round number."""
    room = tolerance * max(float(np.abs(e).max()), float(np.abs(g).max()))
    low, high = g > e + room, g < e - room
    cut = low | high
    if not cut.any() or (cut.all() and cut.sum() < FEWEST) or np.ptp(g) <= room:
        return ""
    if cut.sum() == 1 and (e.size <= FEWEST or not is_round(float(np.abs(g[cut][0])), tolerance)):
        return ""  # one element may be anything, unless it is a number that somebody chose
    limits = []
    for which in (low, high):
        values = g[which]
        if values.size and np.ptp(values) > room:
            return ""
        limits.append(float(values.mean()) if values.size else None)
    bottom, top = limits
    if (bottom is not None and g.min() < bottom - room) or (top is not None and g.max() > top + room):
        return ""
    if bottom is not None and top is not None:
        return f"±{short(top)}" if near(-bottom, top, 1e-6) else f"{short(bottom)} and {short(top)}"
    return short(bottom if bottom is not None else top)  # type: ignore[arg-type]


def _surrogate(name: str, x: np.ndarray, y_bar: np.ndarray, g: np.ndarray, tolerance: float) -> str:
    """The known surrogate whose slope, times one number, the rule returns."""
    chosen = y_bar != 0
    chosen &= np.cumsum(chosen.ravel()).reshape(chosen.shape) <= MOST
    slope = g[chosen] / y_bar[chosen]
    if slope.size < FEWEST:
        return ""
    for threshold in THRESHOLDS:
        moved = name if threshold == 0 else f"({name} - {short(threshold)})"
        for sharp in SHARPNESS:
            u = sharp * (x[chosen] - threshold)
            for text, derivative in SURROGATES:
                d = sharp * derivative(u)
                r = ratio(d, slope, tolerance) if np.ptp(d) > 1e-3 * d.max() else None
                if r is not None and r > 0:
                    inside = moved if sharp == 1 else f"{short(sharp)} * {moved}"
                    times = "" if near(r, 1, tolerance) else f"{short(r)} * "
                    return times + text.format(u=inside)
    return ""


def _range(name: str, x: np.ndarray, kept: np.ndarray) -> tuple[str, str]:
    """Between which bounds the kept values lie, in words and as code; the roundest bounds that tell them apart."""
    low, high = float(x[kept].min()), float(x[kept].max())
    below, above = x[~kept & (x < low)], x[~kept & (x > high)]
    if (~kept & (x >= low) & (x <= high)).any():
        return "at some elements", f"jnp.where(kept, {name}, 0)"
    bottom = None if below.size == 0 else -_roundest(-low, -float(below.max()))
    top = None if above.size == 0 else _roundest(high, float(above.min()))
    left = "" if bottom is None else f"{short(bottom)} ≤ "
    right = "" if top is None else f" ≤ {short(top)}"
    limits = [f"{key}={short(v)}" for key, v in (("min", bottom), ("max", top)) if v is not None]
    return f"where {left}{name}{right}", f"jnp.clip({name}, {', '.join(limits)})"


def _roundest(low: float, high: float) -> float:
    """The number of fewest digits from `low` up to `high`."""
    for digits in range(-3, 12):
        if (value := np.ceil(low * 10.0**digits) / 10.0**digits) < high:
            return float(value)
    return low


def _same_shape(seen: Evidence) -> np.ndarray | None:
    """ȳ, where there is one output, of the argument's shape."""
    one = seen.y_bar[0] if len(seen.y_bar) == 1 else None
    return one if one is not None and one.shape == seen.expected.shape else None


def _declared(seen: Evidence, slope: str) -> str:
    """The reference with the rule's values and the derivative of `slope`, as code; of several arguments that have
    derivatives, only what stands for this one."""
    if any(o.expected is not None and np.any(o.expected) for o in seen.others):
        return f"a reference= with {slope} + stop_gradient(y - {slope}) in the place of the flat part y"
    return f"reference=lambda {_arguments(seen)}: {slope} + stop_gradient({seen.rule} - {slope})"


def _arguments(seen: Evidence) -> str:
    return seen.rule.partition("(")[2].rstrip(")")
