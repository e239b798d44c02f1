"""What a rule does at the kinks and ties of its example, in words."""

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.one_sided import slopes
from verify.running import OWN, WIDE, is_float


def convention(case: CallUnderTest) -> str:
    """In words, what the rule does at the kinks of this case; empty where it has none.

    Only small arguments are examined: each element of one that has a kink at all is tried.
    """
    y_bar = tuple(np.asarray(np.abs(g) + 0.5) for g in case.y_bar)
    try:
        got = [np.asarray(b, WIDE) for b in case.pull(OWN, y_bar)[1]]
    except Exception:
        return ""
    said, rng = [], np.random.default_rng((case.seed, 16))
    for leaf, n in enumerate(case.perturbed):
        if case.arrays[n].size > 512 or not is_float(case.arrays[n]):
            continue
        # A kink along one element is one along a direction that moves all of them by different steps.
        everywhere = [np.zeros(case.arrays[m].shape) for m in case.perturbed]
        everywhere[leaf] = rng.uniform(0.5, 1.5, case.arrays[n].shape) * rng.choice([-1, 1], case.arrays[n].shape)
        s = slopes(case, everywhere, y_bar)
        if s.sharp and not s.kink:
            continue
        shares = []
        for index in np.ndindex(case.arrays[n].shape):
            direction = [np.zeros(case.arrays[m].shape) for m in case.perturbed]
            direction[leaf][index] = 1.0
            s = slopes(case, direction, y_bar)
            if s.kink:
                shares.append((float(got[leaf][index]) - s.left) / (s.right - s.left))
        if shares:
            said.append(f"{case.names[leaf]}: {_in_words(np.array(shares))}")
    return "; ".join(said)


def _in_words(shares: np.ndarray) -> str:
    if np.all(np.abs(shares) < 1e-3):
        return "the left slope, at every kink"
    if np.all(np.abs(shares - 1) < 1e-3):
        return "the right slope, at every kink"
    if np.all(np.minimum(np.abs(shares), np.abs(shares - 1)) < 1e-3):
        taken = np.flatnonzero(np.abs(shares - 1) < 1e-3)
        where = "the first of them" if taken[0] == 0 else "the last of them" if taken[-1] == len(shares) - 1 else "one"
        return f"of tied elements one takes all ({where})"
    if np.ptp(shares) < 1e-3:
        return f"{shares[0]:.3g} of the way from the left to the right slope"
    return "tied elements share"
