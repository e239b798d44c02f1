"""Upsampling by whole factors: each entry repeated ("nearest"), or interpolated on straight lines ("bilinear").

Rows and columns are upsampled one after the other, so one axis is enough. An entry stands for a cell with its value in
the middle. With scale s, output row o = s·h + r, r = 0 … s − 1, has its middle at (o + ½)/s − ½ = h + f_r in rows of x,
f_r = (r + ½)/s − ½ between −½ and ½. It takes from row h and from the neighbour on its own side,

    y[s·h + r] = (1 − |f_r|) x[h] + |f_r| x[h + sign f_r]

where the first and the last row are their own neighbours (PyTorch's `align_corners=False`). "nearest" is f_r = 0.

Row h of x is in the s rows of its own cell, with 1 − |f_r|; in those rows of the next cell that lie before its middle;
and in those of the cell before that lie after its middle:

    x̄[h] = Σ_r (1 − |f_r|) ȳ[s·h + r]  +  before[h + 1]  +  after[h − 1]

    before[h] = Σ_{r: f_r < 0} |f_r| ȳ[s·h + r]        after[h] = Σ_{r: f_r > 0} |f_r| ȳ[s·h + r]

There is nothing before the first row nor after the last: before[0] goes to x̄[0] itself and after[H − 1] to x̄[H − 1].
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_choice, require_floats, require_rank
from purecnn.geometry import Size2d, pair
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule, shape_carrier

METHODS = ("nearest", "bilinear")


@functools.partial(rule, static=("scale",))
def upsample2d(x: Float[Array, "n h w c"], scale: Size2d, *, method: str = "nearest") -> Float[Array, "n ho wo c"]:
    """x (N, H, W, C) -> (N, s·H, s·W, C), of the dtype of `x`; 16-bit sums in float32.

    `scale` is an int from 1 on, or a pair; `method` is "nearest" or "bilinear". Linear. Residuals: the shape, in no
    bytes. Raises ValueError or TypeError for a wrong rank, an empty image, a dtype that is not floating or an unknown
    option.
    """
    rows, columns = _offsets(x, scale, method)
    wide = x.astype(accumulation_dtype(x.dtype))
    return _upsampled(_upsampled(wide, 1, rows), 2, columns).astype(x.dtype)


@upsample2d.def_fwd
def upsample2d_fwd(x, scale, *, method="nearest"):
    """y and the shape of x."""
    return upsample2d(x, scale, method=method), (shape_carrier(x),)


@upsample2d.def_bwd
def upsample2d_bwd(residuals, y_bar, scale, *, method="nearest"):
    """x̄ (N, H, W, C)."""
    rows, columns = _offsets(residuals[0], scale, method)
    wide = y_bar.astype(accumulation_dtype(y_bar.dtype))
    along_rows = _collected(wide, 2, columns)
    if any(rows):  # rows are read more than once, and XLA would repeat the first pass each time
        along_rows = lax.optimization_barrier(along_rows)
    return (_collected(along_rows, 1, rows).astype(y_bar.dtype),)


def _upsampled(x, axis, offsets):
    """y along one axis, the rows of a cell stacked on an axis of their own, which is then merged with the cells'."""
    size = x.shape[axis]
    cut = functools.partial(lax.slice_in_dim, x, axis=axis)
    before = jnp.concatenate([cut(0, 1), cut(0, size - 1)], axis)
    after = jnp.concatenate([cut(1, size), cut(size - 1, size)], axis)
    cells = [x if f == 0 else (1 - abs(f)) * x + abs(f) * (before if f < 0 else after) for f in offsets]
    return jnp.stack(cells, axis + 1).reshape(*x.shape[:axis], len(offsets) * size, *x.shape[axis + 1 :])


def _collected(y_bar, axis, offsets):
    """x̄ along one axis."""
    size = y_bar.shape[axis] // len(offsets)
    cells = y_bar.reshape(*y_bar.shape[:axis], size, len(offsets), *y_bar.shape[axis + 1 :])

    def total(weights):
        rows = (w * lax.index_in_dim(cells, r, axis + 1, keepdims=False) for r, w in enumerate(weights) if w)
        return functools.reduce(operator.add, rows)

    if size == 1 or not any(offsets):  # an only row is its own neighbour
        return total([1.0] * len(offsets))
    own = total([1 - abs(f) for f in offsets])
    cut_before = functools.partial(lax.slice_in_dim, total([max(-f, 0) for f in offsets]), axis=axis)
    cut_after = functools.partial(lax.slice_in_dim, total([max(f, 0) for f in offsets]), axis=axis)
    none = jnp.zeros_like(cut_before(0, 1))
    from_next = [cut_before(0, 1) + cut_before(1, 2), cut_before(2, size), none]
    from_last = [none, cut_after(0, size - 2), cut_after(size - 2, size - 1) + cut_after(size - 1, size)]
    return own + jnp.concatenate(from_next, axis) + jnp.concatenate(from_last, axis)


def _offsets(x, scale, method):
    """f_r, r = 0 … s − 1, along rows and along columns."""
    require_floats("upsample2d", x=x)
    require_rank("upsample2d", "N H W C", x=x)
    require_choice("upsample2d", "method", method, METHODS)
    if 0 in x.shape[1:3]:
        raise ValueError(f"upsample2d: x: got shape {x.shape}, expected at least one row and column")
    scales = pair("upsample2d", "scale", scale)
    return [[(r + 0.5) / s - 0.5 if method == "bilinear" else 0.0 for r in range(s)] for s in scales]
