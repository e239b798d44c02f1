"""How far two results of the same computation are apart, as several experiments measure it."""

from typing import Any

import jax
import numpy as np


def largest_difference(a: Any, b: Any) -> float:
    """Of two arrays, or trees of them: relative to the largest entry of the array of b it is in; the worst of all."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.abs(np.asarray(x) - np.asarray(y)).max() / np.abs(np.asarray(y)).max()) for x, y in pairs)
