"""What the oracle says of a call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.oracle.tolerance import largest
from verify.running import WIDE, is_float


@dataclass(frozen=True)
class Truth:
    """What the oracle says, in float64: outputs, cotangents of the perturbed leaves, and their magnitudes."""

    outputs: list[np.ndarray]
    cotangents: list[np.ndarray]
    output_magnitudes: list[np.ndarray]
    magnitudes: list[np.ndarray]


def widen(arrays: Sequence[Any]) -> list[np.ndarray]:
    """Floating arrays in float64, the others as they are."""
    return [np.asarray(a, WIDE) if is_float(a) else np.asarray(a) for a in arrays]


# Magnitudes without error analysis, relative to the largest element: generous ones for float64 runs, where they allow
# 1e-10, and for a first look at sums of some hundreds of terms.
GENEROUS, LONG_SUMS = 1e5, 64.0


def uniform(a: np.ndarray, size: float) -> np.ndarray:
    """One magnitude for every element."""
    return np.full(a.shape, size * largest(np.asarray(a, WIDE)))
