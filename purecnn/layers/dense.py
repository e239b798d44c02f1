"""Fully connected layer (lecture row 7).

    y = x w + b          yₖ = Σᵢ xᵢ wᵢₖ + bₖ

Input i reaches every output k through wᵢₖ alone, and wᵢₖ touches output k alone, with xᵢ in front of it:

    ∂yₖ/∂xᵢ = wᵢₖ        ∂yₖ/∂wᵢₖ = xᵢ        ∂yₖ/∂bₖ = 1

The chain rule sums over every way to the loss: over the outputs for x, over the samples n of the batch for w and b.

    x̄ = ȳ wᵀ             w̄ = xᵀ ȳ             b̄ = Σₙ ȳₙ

The lecture writes one sample as a column, y = w x with w (out, in): there ∂L/∂x = (∂L/∂y) w and ∂L/∂wᵢⱼ = (∂L/∂yᵢ) xⱼ.
Here samples are rows and w is (in, out), the transpose, so that a batch is one matrix product. Further axes, positions
of an image for instance, are more samples.
"""

from __future__ import annotations

import math

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_rank, require_shape
from purecnn.ops import matmul, matmul_transposed, per_channel, sum_to_channels
from purecnn.rules import rule


@rule
def dense(
    x: Float[Array, "*batch inputs"], w: Float[Array, "inputs outputs"], b: Float[Array, " outputs"] | None = None
) -> Float[Array, "*batch outputs"]:
    """Each row of `x` times `w`, plus `b`.

    x (..., in) with any leading axes, w (in, out), b (out,) or None -> y (..., out), all of one floating dtype. 16-bit
    products accumulate in float32 and are rounded once, before b is added. Residuals: x, w, b. Raises ValueError or
    TypeError on other shapes or dtypes.
    """
    require_floats("dense", x=x, w=w, b=b)
    if not x.shape:
        raise ValueError(f"dense: x: got shape {x.shape}, expected a last axis of inputs")
    require_rank("dense", "in out", w=w)
    if x.shape[-1] != w.shape[0]:
        raise ValueError(f"dense: w: got shape {w.shape}, expected ({x.shape[-1]}, out): one row per input of x")
    if b is None:
        return matmul(x, w)
    require_shape("dense", (w.shape[1],), "one per output", b=b)
    return matmul(x, w) + per_channel(b, x)


@dense.def_fwd
def dense_fwd(x, w, b=None):
    """y and its residuals (x, w, b); b only tells the backward rule whether there is one."""
    return dense(x, w, b), (x, w, b)


@dense.def_bwd
def dense_bwd(residuals, y_bar):
    """x̄ (..., in), w̄ (in, out), b̄ (out,) or None, from ȳ (..., out)."""
    x, w, b = residuals
    rows_of_x, rows_of_y_bar = _rows(x), _rows(y_bar)
    x_bar = matmul_transposed(rows_of_y_bar, w).reshape(x.shape)
    w_bar = matmul(rows_of_x.T, rows_of_y_bar)
    b_bar = None if b is None else sum_to_channels(y_bar).astype(b.dtype)
    return x_bar, w_bar, b_bar


def _rows(a):
    """Every axis but the last as one, the samples n of the equations."""
    return a if len(a.shape) == 2 else a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
