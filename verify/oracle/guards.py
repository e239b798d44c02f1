"""Where the oracle itself is wrong at a point, and the rule with it.

Autodiff of log(exp(x) + exp(0)) in its stable form says 0 at x = 0, and a rule that agrees is as wrong. A little to
every side autodiff is right, and where all sides agree on a limit that the values of the function confirm, that is the
derivative.
"""

from dataclasses import replace

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle import beside, kinks
from verify.oracle.compare import finding
from verify.oracle.one_sided import slopes
from verify.oracle.tolerance import smallest_normal, wrong_elements
from verify.report.finding import Finding, NotRunError

APART = 1e-3  # of the largest element: no rounding
LOOKED_AT = 6  # elements
DIRECTIONS, FEW = 3, 2  # random directions and elements whose slopes are looked at
SMALLEST = smallest_normal(np.float32)
CHOICES = {"select_n", "abs", "max", "min", "sign", "clamp"}
CAUSE = "autodiff of a formula with kinks or a guard is wrong at this point too: write the derivative's limit"


def findings(check: str, case: CallUnderTest, got: list[np.ndarray]) -> list[Finding]:
    """Of a hand-written rule at numbers that hold a 0, where guards are; a reference says itself what to return."""
    arrays = [case.arrays[n] for n in case.perturbed]
    # Below the smallest normal number, which many devices round to 0, sin(x) / x has no digits: no guard is missed.
    ordinary = not any(bool(np.any((a != 0) & (np.abs(a) < SMALLEST))) for a in arrays)
    zero = ordinary and any(bool(np.any(a == 0)) for a in arrays)
    rule = case.tested.calls and case.tested.reference is None and case.tested.primitives & CHOICES
    if not (zero and rule) or case.reshaped or case.stress or case.on_the_boundary or kinks.stops_gradients(case):
        return []
    try:
        near = beside.limits(case)
    except Exception:  # it has no value beside the point
        return []
    found = []
    for k, (name, e, g) in enumerate(zip(case.names, case.truth.cotangents, got, strict=True)):
        limit = near.values[k]
        room = np.full(limit.shape, APART * max(float(np.abs(limit).max(initial=0)), 1e-30))
        bad = near.smooth[k] & wrong_elements(limit, g, room) & wrong_elements(limit, e, room)
        held = np.zeros(limit.shape, bool)
        for at in map(tuple, np.argwhere(bad)[:LOOKED_AT]):
            held[at] = beside.tends_to(case, k, at, limit, room)
        if held.any() and _confirmed(case, k, limit, near.smooth[k], g, held):
            said = finding(check, case, name, limit, g, held, room, what="the limit beside the point")
            found.append(replace(said, cause=CAUSE))
    return found


def _confirmed(
    case: CallUnderTest, leaf: int, limit: np.ndarray, smooth: np.ndarray, got: np.ndarray, bad: np.ndarray
) -> bool:
    """Whether the values of the function have these slopes, and not the rule's: along any direction, which at ties that
    one entry wins they have not, and along single elements."""
    rng = np.random.default_rng((case.seed, 23))
    ways = [np.where(smooth, rng.standard_normal(limit.shape), 0) for _ in range(DIRECTIONS)]
    for index in np.argwhere(bad)[:FEW]:
        ways.append(np.zeros(limit.shape))
        ways[-1][tuple(index)] = 1.0
    try:
        for n, way in enumerate(ways):
            direction = [way if k == leaf else np.zeros(case.arrays[m].shape) for k, m in enumerate(case.perturbed)]
            s = slopes(case, direction, case.y_bar)
            right, mine = (float(np.sum(bar * way)) for bar in (np.where(smooth, limit, 0), got))
            room = APART * float(np.sum(np.abs(np.where(smooth, limit, 0) * way)))
            if s.kink or not s.admit(right, room) or (n >= DIRECTIONS and s.admit(mine, room)):
                return False
    except NotRunError:
        return False
    return True
