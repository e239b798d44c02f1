"""Every tolerance in one place.

A cotangent element computed in a floating-point type with unit roundoff u differs from its exact value by about u · m,
where m is the *magnitude* of the element: the running error analysis of `verify.oracle.error_bounds`, which for a sum
of products is Σ|products| times a slowly growing function of the number of terms. It is a property of that element
alone, so a wrong element does not hide behind a large neighbour.
"""

from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np

# Room for what the first-order analysis leaves out: library functions of a few ulp, another order of summation, a
# formula equal in exact arithmetic. Sixteen is four bits of the significand.
ROOM = 16.0
# A low-precision rule may round each intermediate once; the analysis already counts those, so less room is needed.
LOW_PRECISION_ROOM = 4.0
# How much worse than autodiff at the same dtype a rule may be.
WORSE_THAN_AUTODIFF = 2.0


def unit_roundoff(dtype: Any) -> float:
    """Half the distance from 1 to the next number of `dtype`."""
    return float(ml_dtypes.finfo(dtype).eps) / 2


def smallest_normal(dtype: Any) -> float:
    """Below this, `dtype` has lost digits or flushes to zero."""
    return float(ml_dtypes.finfo(dtype).smallest_normal)


def allowed_error(magnitude: np.ndarray, dtype: Any, room: float = ROOM) -> np.ndarray:
    """The error allowed at each element, given the magnitudes of a whole cotangent.

    The second term lets cancellation through an equivalent formula pass (ŷ - 1 at ŷ ≈ 1): one roundoff of the largest
    magnitude, which in float64 is still 1e-16 of it. The third is underflow.
    """
    u = unit_roundoff(dtype)
    return room * u * (magnitude + largest(magnitude) / 4) + room * smallest_normal(dtype) * (1 + magnitude)


def largest(a: np.ndarray) -> float:
    """The largest magnitude among the finite elements."""
    return float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a)))


def resolution(magnitude: np.ndarray, dtype: Any) -> np.ndarray:
    """What `dtype` itself cannot tell apart at each element: one roundoff of every operation that leads to it. A
    difference below is no fault of a rule that is called in `dtype`."""
    return allowed_error(magnitude, dtype, 1.0)


def any_true(masks: Iterable[np.ndarray]) -> bool:
    """Whether anything is marked in any of the masks, of which there is one for each array."""
    return any(mask.any() for mask in masks)


def wrong_elements(expected: np.ndarray, got: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Where |got - expected| exceeds what is allowed; NaN and misplaced infinities count, equal infinities do not."""
    e, g = np.asarray(expected, np.float64), np.asarray(got, np.float64)
    with np.errstate(invalid="ignore"):
        return ~(np.abs(g - e) <= allowed) & ~(e == g)
