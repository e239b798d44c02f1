"""Average pooling to a given size, whatever the image's (PyTorch's `adaptive_avg_pool2d`).

    y[n, o, p, c] = (1/m[o, p]) Σ x[n, i, j, c]    over ⌊o H/Ho⌋ ≤ i < ⌈(o+1) H/Ho⌉,  ⌊p W/Wo⌋ ≤ j < ⌈(p+1) W/Wo⌉

with m the number of entries averaged. The windows share rows where Ho does not divide H, and are one and the same entry
several times where the image is smaller than y. They are a range of rows and one of columns, so that with P (Ho, H), in
which P[o, i] is 1 / (the number of rows of o) if i is one of them and else 0, and Q (Wo, W) likewise for the columns,

    y[n, o, p, c] = Σ_{i, j} P[o, i] Q[p, j] x[n, i, j, c]

and each entry gets its share back from every window that it is in:

    x̄[n, i, j, c] = Σ_{o, p} P[o, i] Q[p, j] ȳ[n, o, p, c]
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_rank
from purecnn.geometry import Pair, Size2d, pair
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule, shape_carrier


@rule
def adaptive_avg_pool2d(x: Float[Array, "n h w c"], *, size: Size2d) -> Float[Array, "n ho wo c"]:
    """Means of x (N, H, W, C) -> (N, Ho, Wo, C) for `size` (Ho, Wo), of the dtype of `x`; 16-bit sums in float32.

    Where x has that size it is y. Linear. Residuals: the shape (0 bytes). Raises ValueError or TypeError for a wrong
    rank, an empty image, a size below 1 or a dtype that is not floating.
    """
    return _weighted(x, *_shares(x, size))


@adaptive_avg_pool2d.def_fwd
def adaptive_avg_pool2d_fwd(x, *, size):
    """y and the shape of x."""
    return adaptive_avg_pool2d(x, size=size), (shape_carrier(x),)


@adaptive_avg_pool2d.def_bwd
def adaptive_avg_pool2d_bwd(residuals, y_bar, *, size):
    """x̄ (N, H, W, C)."""
    (shape,) = residuals
    rows, cols = _shares(shape, size)
    return (_weighted(y_bar, rows.T, cols.T),)


def _weighted(x, rows, cols):
    """Σ rows[o, i] cols[p, j] x[n, i, j, c], as exact as sums are: the weights are not for TF32."""
    if rows.shape[0] == rows.shape[1] and cols.shape[0] == cols.shape[1]:
        return x  # both are the identity
    wide = x.astype(rows.dtype)
    return jnp.einsum("oi,pj,nijc->nopc", rows, cols, wide, precision=lax.Precision.HIGHEST).astype(x.dtype)


def _shares(x, size):
    """P (Ho, H) and Q (Wo, W), in the accumulation dtype."""
    require_floats("adaptive_avg_pool2d", x=x)
    require_rank("adaptive_avg_pool2d", "N H W C", x=x)
    sizes: Pair = pair("adaptive_avg_pool2d", "size", size)
    if 0 in x.shape[1:3]:
        raise ValueError(f"adaptive_avg_pool2d: x: got shape {x.shape}, expected at least one entry to average")
    if not all(isinstance(length, int) for length in x.shape[1:3]):
        expected = "a height and a width that are no symbolic dimensions: the windows depend on them"
        raise ValueError(f"adaptive_avg_pool2d: x: got shape {x.shape}, expected {expected}")
    return (_share(n, length, x.dtype) for n, length in zip(sizes, x.shape[1:3], strict=True))


def _share(size: int, length: int, dtype):
    rows = []
    for o in range(size):
        first, behind = o * length // size, -(-(o + 1) * length // size)
        rows.append([(first <= i < behind) / (behind - first) for i in range(length)])
    return jnp.asarray(rows, accumulation_dtype(dtype))
