"""Average pooling.

    y[n, o, p, c] = (1/m[o, p]) Σ over kernel offsets (i, j) of x[n, s·o + i − top, s·p + j − left, c]

with stride s, `top` and `left` the padding in front of the rows and columns, and m the number of entries averaged:
those of the input under the window, or with `count_include_pad` all kh·kw of them. The lecture pools by the maximum
(row 10); here every entry under a window has the same share in it, 1/m, and gets it back from each window it is in:

    x̄[entry] = Σ over the windows it is in of ȳ[o, p] / m[o, p]
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_rank
from purecnn.geometry import Padding, Size2d, WindowDims, window_dims
from purecnn.offsets import no_offset, passes, read_offsets, reduced_in_passes, sum_over_windows
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule, shape_carrier


@rule
def avg_pool2d(
    x: Float[Array, "n h w c"],
    *,
    window: Size2d = 2,
    stride: Size2d | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = False,
) -> Float[Array, "n ho wo c"]:
    """The mean under each window: x (N, H, W, C) -> (N, Ho, Wo, C), of the dtype of `x`; 16-bit sums in float32.

    `stride` None means the window's own size. A window on nothing but padding gives 0. Linear. Residuals: the shape,
    in no bytes. Raises ValueError or TypeError for a wrong rank, a dtype that is not floating, or a window that does
    not fit.
    """
    require_floats("avg_pool2d", x=x)
    require_rank("avg_pool2d", "N H W C", x=x)
    dims = _dims(x.shape, window, stride, padding)
    wide = x.astype(accumulation_dtype(x.dtype))
    # The sum over a large window is one over its rows of the sums along them.
    total = reduced_in_passes(wide, dims, lambda x, dims: functools.reduce(operator.add, read_offsets(x, dims)))[-1]
    return (total / _counts(dims, count_include_pad, wide.dtype)).astype(x.dtype)


@avg_pool2d.def_fwd
def avg_pool2d_fwd(x, *, window=2, stride=None, padding="VALID", count_include_pad=False):
    """y and the shape of x."""
    y = avg_pool2d(x, window=window, stride=stride, padding=padding, count_include_pad=count_include_pad)
    return y, (shape_carrier(x),)


@avg_pool2d.def_bwd
def avg_pool2d_bwd(residuals, y_bar, *, window=2, stride=None, padding="VALID", count_include_pad=False):
    """x̄ (N, H, W, C)."""
    (shape,) = residuals
    dims = _dims(shape.shape, window, stride, padding)
    wide = y_bar.astype(accumulation_dtype(y_bar.dtype))
    x_bar = wide / _counts(dims, count_include_pad, wide.dtype)
    for one in reversed(passes(dims)):
        x_bar = _to_every_entry(x_bar, one)
    return (x_bar.astype(y_bar.dtype),)


def _to_every_entry(share, dims):
    """At every input position Σ over the windows that read it of their share."""
    zero = jnp.zeros((), share.dtype)
    return sum_over_windows(dims, lambda offset, share: jnp.where(offset == no_offset(dims), zero, share), share)


def _counts(dims, count_include_pad, dtype):
    """m, of shape (1, Ho, Wo, 1); at least 1, so that a window on nothing but padding divides 0 by 1."""
    if count_include_pad:
        return jnp.asarray(dims.size[0] * dims.size[1], dtype)

    def real(axis: int) -> list[int]:  # rows (columns) of each output's window that are the input's, not the padding's
        reading = [dims.inside(axis, i)[1] for i in range(dims.size[axis])]
        return [sum(by.start <= o < by.stop for by in reading) for o in range(dims.output[axis])]

    return jnp.asarray([[[[max(r * c, 1)] for c in real(1)] for r in real(0)]], dtype)


def _dims(shape, window, stride, padding) -> WindowDims:
    return window_dims("avg_pool2d", shape, window, stride=window if stride is None else stride, padding=padding)
