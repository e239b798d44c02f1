"""x̄ = Jᵀ ȳ is linear in ȳ, whatever the function: no oracle is needed to ask

    0 ↦ 0  (exactly)        2ȳ ↦ 2x̄        -ȳ ↦ -x̄        ȳ + ȳ' ↦ x̄ + x̄'

A rule that ignores its cotangent, squares it, clips it or adds a constant fails one of these.
"""

from dataclasses import replace

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.compare import finding
from verify.oracle.noise import loop_noise
from verify.oracle.tolerance import allowed_error, largest, unit_roundoff, wrong_elements
from verify.report.evidence import Evidence
from verify.report.finding import Finding, NotRunError
from verify.report.intended import clipped
from verify.running import OWN, WIDE

NAME = "linearity"
EVERY_CASE = False
ZERO = "the cotangent 0"
CAUSES = {ZERO: "the cotangent does not multiply all of the result: it is left out of a term, or a constant is added"}

NONLINEAR = "the rule is not linear in the cotangent: it clips, normalises, rounds or squares it, or takes its sign"


def findings(case: CallUnderTest) -> list[Finding]:
    try:
        case.wide  # noqa: B018 (asks whether the rule runs in float64)
        level, unit = WIDE, case.narrowest
    except NotRunError:
        level, unit = OWN, case.own_unit
    bars = case.pull(level, case.y_bar)[1]  # from the very program that runs below: its bits are compared
    other = tuple(np.flip(g).reshape(g.shape) for g in case.y_bar)
    noise = loop_noise(case)  # a backward loop that stops at an absolute residual takes fewer steps of a small ȳ
    exact = [np.full(b.shape, noise * largest(b)) for b in bars]
    rounding = _rounding(case, unit)
    near = [np.maximum(_room(b, unit), r if r.shape == b.shape else 0) for b, r in zip(bars, rounding, strict=True)]
    near = [np.maximum(a, e) for a, e in zip(near, exact, strict=True)]
    # Doubling rounds nothing, but a backward rule may choose its steps by the size of ȳ, as a matrix exponential does.
    own = max(4 * unit_roundoff(case.tested.dtype), unit) if level is WIDE else unit
    scaled = [np.maximum(a, own * largest(b)) for a, b in zip(exact, bars, strict=True)]
    second = case.pull(level, other)[1]
    laws = (
        (f"{ZERO} must give 0", [0 * g for g in case.y_bar], exact, [0 * b for b in bars]),
        (
            "twice the cotangent must give twice the result",
            [2 * g for g in case.y_bar],
            [2 * a for a in scaled],
            [2 * b for b in bars],
        ),
        ("minus the cotangent must give minus the result", [-g for g in case.y_bar], scaled, [-b for b in bars]),
        *_scaled(case, bars, scaled, exact, unit),
        (
            "the sum of two cotangents must give the sum of the results",
            [np.asarray(a, WIDE) + np.asarray(b, WIDE) for a, b in zip(case.y_bar, other, strict=True)],
            [a + _room(b, unit) for a, b in zip(near, second, strict=True)],
            [np.asarray(a, WIDE) + np.asarray(b, WIDE) for a, b in zip(bars, second, strict=True)],
        ),
    )
    for text, y_bar, allowed, expected in laws:
        got = case.pull(level, y_bar)[1]
        tiny = [np.full(a.shape, 1e-36 if level is OWN else 1e-300) for a in allowed]
        found = []
        for name, e, g, a, t in zip(case.names, expected, got, allowed, tiny, strict=True):
            bad = wrong_elements(e, g, a + t) if e.shape == g.shape else np.zeros(0, bool)
            bad = bad & ~np.isnan(np.asarray(e, WIDE)) if bad.size else bad  # `finite` asks whether it may be
            if bad.any():
                said = finding(NAME, case, name, e, g, bad, a + t, what=f"what linearity asks ({text})")
                seen = Evidence(name, g, np.asarray(e, WIDE), np.asarray(g, WIDE), bad, tuple(y_bar))
                usual = CAUSES.get(text.partition(" must")[0], NONLINEAR)
                found.append(replace(said, cause=clipped(seen) or usual))
        if found and not _declared(case, level, y_bar, case.pull(level, y_bar)[1], unit):
            return found
    return []


def _declared(case: CallUnderTest, level: object, y_bar: list, bars: list, unit: float) -> bool:
    """Whether a reference was given that has the same cotangents here: one that clips them, on purpose, as well."""
    if case.tested.reference is None:
        return False
    try:
        theirs = case.pull(level, y_bar, case.tested.oracle(case.options), "reference")[1]
    except Exception:
        return False  # a reference without a derivative declares none
    return not any(wrong_elements(e, g, _room(e, unit)).any() for e, g in zip(theirs, bars, strict=True))


def _scaled(case: CallUnderTest, bars: list, allowed: list, stopping: list, unit: float) -> list[tuple]:
    """Cotangents 2^±12 times as large: what clips or flushes shows there. Not asked of half precision inside, nor small
    ones of a backward rule that iterates: below its absolute tolerance it need not begin."""
    floats = [case.arrays[n].dtype.itemsize for n in case.perturbed] + [g.dtype.itemsize for g in case.y_bar]
    if unit > unit_roundoff(np.float32) or min(floats) < 4:
        return []
    return [
        (
            f"2^{e} times the cotangent must give 2^{e} times the result",
            [np.ldexp(g, e) for g in case.y_bar],
            [np.maximum(a * 2.0**e, n) for a, n in zip(allowed, stopping, strict=True)],
            [np.ldexp(b, e) for b in bars],
        )
        for e in ((12,) if any(map(largest, stopping)) else (12, -12))
    ]


def _rounding(case: CallUnderTest, unit: float) -> list[np.ndarray]:
    """What the oracle's error analysis allows: where terms cancel, the result is much smaller than its rounding."""
    try:
        ratio = 4 * max(1.0, unit / unit_roundoff(WIDE))
        bounds = [allowed_error(m, WIDE) * ratio for m in case.truth.magnitudes]
        return [np.where(np.isfinite(b), b, 0.0) for b in bounds]
    except NotRunError:
        return [np.zeros(case.arrays[n].shape) for n in case.perturbed]


def _room(bar: np.ndarray, unit: float) -> np.ndarray:
    """Sums of n terms in another order: without an oracle only the size of the array bounds n."""
    b = np.abs(np.asarray(bar, np.float64))
    return 64 * unit * (1 + np.sqrt(b.size)) * (b + largest(b))
