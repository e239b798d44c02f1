"""Average pooling, and the average over a whole image.

    y[n, o, p, c] = (1/m[o, p]) Σ over taps (i, j) of x[n, s·o + d·i − top, s·p + d·j − left, c]

with m the number of entries averaged: those of the input under the window, or with `count_padding` all kh·kw of them.
The lecture pools by the maximum (row 10); here every entry under a window has the same share in it, 1/m, and gets it
back from each window that saw it:

    x̄[entry] = Σ over the windows that saw it of ȳ[o, p] / m[o, p]

The global form is one window over all H·W entries: y[n, c] = (1/HW) Σ x[n, ·, ·, c], so x̄[n, i, j, c] = ȳ[n, c] / HW.
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp

from purecnn.annotations import Array, Float
from purecnn.arguments import accumulation_dtype, require_floats, require_rank, shape_carrier
from purecnn.geometry import Padding, Size2d, window2d
from purecnn.layers.taps import no_tap, read_taps, sum_over_windows
from purecnn.rules import rule


@rule
def avg_pool2d(
    x: Float[Array, "n h w c"],
    *,
    window: Size2d = 2,
    stride: Size2d | None = None,
    padding: Padding = "VALID",
    count_padding: bool = False,
) -> Float[Array, "n ho wo c"]:
    """The mean under each window: x (N, H, W, C) -> (N, Ho, Wo, C), of the dtype of `x`; 16-bit sums in float32.

    `stride` None means the window's own size. A window that sees only padding gives 0. Linear, so nothing is kept for
    the backward rule but the shape. Raises ValueError or TypeError for a wrong rank, a dtype that is not floating, or
    a window that does not fit.
    """
    require_floats("avg_pool2d", x=x)
    require_rank("avg_pool2d", "N H W C", x=x)
    places = _places(x.shape, window, stride, padding)
    wide = x.astype(accumulation_dtype(x.dtype))
    total = functools.reduce(operator.add, read_taps(wide, places))
    return (total / _counts(places, count_padding, wide.dtype)).astype(x.dtype)


def avg_pool2d_fwd(x, *, window=2, stride=None, padding="VALID", count_padding=False):
    """y and the shape of x."""
    y = avg_pool2d(x, window=window, stride=stride, padding=padding, count_padding=count_padding)
    return y, (shape_carrier(x),)


def avg_pool2d_bwd(residuals, y_bar, *, window=2, stride=None, padding="VALID", count_padding=False):
    """x̄ (N, H, W, C)."""
    (shape,) = residuals
    places = _places(shape.shape, window, stride, padding)
    wide = y_bar.astype(accumulation_dtype(y_bar.dtype))
    share = wide / _counts(places, count_padding, wide.dtype)
    zero = jnp.zeros((), wide.dtype)
    x_bar = sum_over_windows(places, lambda tap, share: jnp.where(tap == no_tap(places), zero, share), share)
    return (x_bar.astype(y_bar.dtype),)


@rule
def global_avg_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n c"]:
    """The mean of each channel's image: x (N, H, W, C) -> (N, C), of the dtype of `x`; 16-bit sums in float32.

    Linear, so nothing is kept for the backward rule but the shape. Raises ValueError or TypeError for a wrong rank, an
    empty image or a dtype that is not floating.
    """
    require_floats("global_avg_pool", x=x)
    require_rank("global_avg_pool", "N H W C", x=x)
    if 0 in x.shape[1:3]:
        raise ValueError(f"global_avg_pool: x: got shape {x.shape}, expected at least one entry to average")
    return x.mean(axis=(1, 2), dtype=accumulation_dtype(x.dtype)).astype(x.dtype)


def global_avg_pool_fwd(x):
    """y and the shape of x."""
    return global_avg_pool(x), (shape_carrier(x),)


def global_avg_pool_bwd(residuals, y_bar):
    """x̄ (N, H, W, C)."""
    (carrier,) = residuals
    _, height, width, _ = carrier.shape
    share = y_bar.astype(accumulation_dtype(y_bar.dtype)) / (height * width)
    shape = (y_bar.shape[0], *carrier.shape[1:])
    return (jnp.broadcast_to(share.astype(y_bar.dtype)[:, None, None, :], shape),)


def _counts(places, count_padding, dtype):
    """m, of shape (1, Ho, Wo, 1); at least 1, so that a window on nothing but padding divides 0 by 1."""
    if count_padding:
        return jnp.asarray(places.size[0] * places.size[1], dtype)
    rows, cols = places.real_counts()
    return jnp.asarray([[[[max(r * c, 1)] for c in cols] for r in rows]], dtype)


def _places(shape, window, stride, padding):
    return window2d("avg_pool2d", shape, window, stride=window if stride is None else stride, padding=padding)


avg_pool2d.defvjp(avg_pool2d_fwd, avg_pool2d_bwd)
global_avg_pool.defvjp(global_avg_pool_fwd, global_avg_pool_bwd)
