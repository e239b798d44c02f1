"""The average over a whole image (Lin et al. 2013): one window over all H·W entries.

    y[n, c] = (1/HW) Σ_{i, j} x[n, i, j, c]

Every entry has the same weight in its channel's average:

    x̄[n, i, j, c] = ȳ[n, c] / HW
"""

from __future__ import annotations

import jax.numpy as jnp

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_rank
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule, shape_carrier


@rule
def global_avg_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n c"]:
    """The mean of each channel's image: x (N, H, W, C) -> (N, C), of the dtype of `x`; 16-bit sums in float32.

    Linear. Residuals: the shape (0 bytes). Raises ValueError or TypeError for a wrong rank, an empty image or a
    dtype that is not floating.
    """
    require_floats("global_avg_pool", x=x)
    require_rank("global_avg_pool", "N H W C", x=x)
    if 0 in x.shape[1:3]:
        raise ValueError(f"global_avg_pool: x: got shape {x.shape}, expected at least one entry to average")
    return x.mean(axis=(1, 2), dtype=accumulation_dtype(x.dtype)).astype(x.dtype)


@global_avg_pool.def_fwd
def global_avg_pool_fwd(x):
    """y and the shape of x."""
    return global_avg_pool(x), (shape_carrier(x),)


@global_avg_pool.def_bwd
def global_avg_pool_bwd(residuals, y_bar):
    """x̄ (N, H, W, C)."""
    (carrier,) = residuals
    _, height, width, _ = carrier.shape
    share = y_bar.astype(accumulation_dtype(y_bar.dtype)) / (height * width)
    shape = (y_bar.shape[0], *carrier.shape[1:])
    return (jnp.broadcast_to(share.astype(y_bar.dtype)[:, None, None, :], shape),)
