"""im2col and its adjoint col2im (lecture row 14).

im2col writes the window at each output position as one row of a matrix, so that sliding becomes a matrix product:

    cols[n, o, p, (i·kw + j)·C + c] = x[n, s·o + d·i − top, s·p + d·j − left, c]        zero on padding

An entry of x is copied once for every kernel offset that reads it. The cotangents of its copies accumulate in x̄, which
is col2im; and since col2im adds copies, its own cotangent is im2col:

    im2col:  x̄ = col2im(cols̄)            col2im:  cols̄ = im2col(x̄)

Rows here are row-major in the window, with the channel fastest: the order of a kernel (kh, kw, C) flattened, in NumPy's
and XLA's own layout. The lecture's figure is MATLAB's: one column per output position, column-major in the window and
across the positions. For one channel its matrix is `cols.reshape(Ho, Wo, kh, kw).transpose(3, 2, 1, 0)`, reshaped to
(kw·kh, Wo·Ho). (The figure's call says 'distinct' and draws 'sliding'; distinct blocks are sliding ones with
stride = window.)
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_rank, require_shape
from purecnn.geometry import Dim, Padding, Size2d, window_dims
from purecnn.offsets import pad_from_offset, read_patches
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule, shape_carrier


@functools.partial(rule, static=("window",))
def im2col(
    x: Float[Array, "n h w c"],
    window: Size2d,
    *,
    stride: Size2d = 1,
    padding: Padding = "VALID",
    dilation: Size2d = 1,
) -> Float[Array, "n ho wo k"]:
    """The patches of `x` (N, H, W, C) as rows: (N, Ho, Wo, kh·kw·C), of the dtype of `x`.

    Linear. Residuals: the shape (0 bytes). Raises ValueError or TypeError for a wrong rank, a dtype that is not
    floating, or a window that does not fit.
    """
    require_floats("im2col", x=x)
    require_rank("im2col", "N H W C", x=x)
    dims = window_dims("im2col", x.shape, window, stride=stride, padding=padding, dilation=dilation)
    return read_patches(lax.pad(x, jnp.zeros((), x.dtype), dims.input_pad), dims)


@im2col.def_fwd
def im2col_fwd(x, window, *, stride=1, padding="VALID", dilation=1):
    """cols and the shape of x."""
    return im2col(x, window, stride=stride, padding=padding, dilation=dilation), (shape_carrier(x),)


@im2col.def_bwd
def im2col_bwd(residuals, cols_bar, window, *, stride=1, padding="VALID", dilation=1):
    """x̄ (N, H, W, C)."""
    (shape,) = residuals
    input_shape = (cols_bar.shape[0], *shape.shape[1:])
    return (col2im(cols_bar, input_shape, window, stride=stride, padding=padding, dilation=dilation),)


@functools.partial(rule, static=("input_shape", "window"))
def col2im(
    cols: Float[Array, "n ho wo k"],
    input_shape: tuple[Dim, int, int, int],
    window: Size2d,
    *,
    stride: Size2d = 1,
    padding: Padding = "VALID",
    dilation: Size2d = 1,
) -> Float[Array, "n h w c"]:
    """Add the rows of `cols` (N, Ho, Wo, kh·kw·C) to the positions im2col read them from: an array of `input_shape`.

    The adjoint of im2col, not its inverse: an entry in m windows is the sum of its m copies. 16-bit copies accumulate
    in float32. Linear, no residuals. Raises ValueError or TypeError for shapes that do not belong together.
    """
    require_floats("col2im", cols=cols)
    require_rank("col2im", "N Ho Wo kh·kw·C", cols=cols)
    if len(input_shape) != 4:
        raise ValueError(f"col2im: input_shape: got {input_shape}, expected (N, H, W, C)")
    dims = window_dims("col2im", input_shape, window, stride=stride, padding=padding, dilation=dilation)
    offsets, channels = list(dims.offsets()), input_shape[3]
    expected = (input_shape[0], *dims.output, len(offsets) * channels)
    require_shape("col2im", expected, f"the patches of {input_shape}", cols=cols)
    wide = cols.astype(accumulation_dtype(cols.dtype))
    parts = (wide[..., t * channels : (t + 1) * channels] for t in range(len(offsets)))
    x = functools.reduce(operator.add, (pad_from_offset(p, dims, o) for p, o in zip(parts, offsets, strict=True)))
    return x.astype(cols.dtype)


@col2im.def_fwd
def col2im_fwd(cols, input_shape, window, *, stride=1, padding="VALID", dilation=1):
    """x; no residuals."""
    return col2im(cols, input_shape, window, stride=stride, padding=padding, dilation=dilation), ()


@col2im.def_bwd
def col2im_bwd(residuals, x_bar, input_shape, window, *, stride=1, padding="VALID", dilation=1):
    """cols̄ (N, Ho, Wo, kh·kw·C)."""
    return (im2col(x_bar, window, stride=stride, padding=padding, dilation=dilation),)
