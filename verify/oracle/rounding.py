"""What rounding explains of a difference, beyond the bound of the oracle's own program."""

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.noise import MEASURED, loop_noise
from verify.oracle.tolerance import allowed_error, largest, resolution
from verify.report.finding import NotRunError
from verify.running import OWN, WIDE, call, measured_oracle, quickly

COARSE = 1e-4  # of the largest element: what float32 leaves of a function that forgets rounding
WORSE = 8.0  # how much more than autodiff a rule may round, if its own program says so: three bits


def usable(case: CallUnderTest) -> bool:
    """The whole oracle is finite, with room to spare at the example's own dtype, where one overflow reaches what it is
    summed with."""
    limit = 1e300 if case.tested.dtype == WIDE else float(np.finfo(np.float32).max) / 1e6
    if case.tested.dtype == np.float16:
        limit = 6e4 / 16
    values = [*case.truth.cotangents, *[y for y in case.truth.outputs if y.dtype == WIDE]]
    return all(np.all(np.isfinite(v)) and np.abs(v).max(initial=0) < limit for v in values)


def resolved(case: CallUnderTest, leaf: int) -> np.ndarray:
    """The differences that the dtype of the call can resolve, element by element; at float64 what rounding explains,
    the rule's own included."""
    dtype = case.arrays[case.perturbed[leaf]].dtype
    try:
        magnitude = case.measured.magnitudes[leaf]
    except NotRunError:
        magnitude = case.truth.magnitudes[leaf]
    expected = case.truth.cotangents[leaf]
    noise = loop_noise(case) * largest(expected)
    if dtype == WIDE:
        return allowed_error(magnitude, WIDE) + noise
    bound, size = resolution(magnitude, dtype), largest(expected)
    if not case.reshaped and largest(bound) > COARSE * size:
        # First-order analysis cannot see that errors die out, as Newton's method lets them: so they are measured.
        seen = largest(np.abs(autodiff(case, leaf) - expected))
        if MEASURED * seen < size:  # else the element is the rounding of larger ones
            bound = np.minimum(bound, max(COARSE * size, MEASURED * seen))
    return bound + noise


def of_the_rule(case: CallUnderTest, allowed: list[np.ndarray], dtypes: list[np.dtype]) -> list[np.ndarray]:
    """The errors that the rounding of the rule's own program explains in these dtypes, where autodiff's explains
    `allowed`: up to WORSE times as much. A rule that computes the same sums otherwise, as Winograd's transforms do,
    rounds more."""
    oracle = measured_oracle(case.tested.flat(case.tested.rule, case.options), case.perturbed, wide_sums=False)
    try:
        _, (_, magnitudes) = call(quickly(oracle), WIDE, case.at(WIDE), case.y_bar)
    except Exception:
        return allowed
    own = [allowed_error(np.asarray(m), dtype) for m, dtype in zip(magnitudes, dtypes, strict=True)]
    return [np.maximum(a, np.minimum(o, WORSE * a)) for o, a in zip(own, allowed, strict=True)]


def autodiff(case: CallUnderTest, k: int) -> np.ndarray:
    """The oracle at the rule's own dtype: on which side of a kink an intermediate value falls is decided there."""
    flat = case.tested.oracle(case.options)
    try:
        return np.asarray(case.pull(OWN, case.y_bar, flat, "autodiff")[1][k], np.float64)
    except Exception:
        return np.full(case.arrays[case.perturbed[k]].shape, np.nan)
