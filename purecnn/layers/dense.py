"""Fully connected layer (lecture row 7).

    y = x w + b          yₖ = Σᵢ xᵢ wᵢₖ + bₖ

Input i reaches every output k through wᵢₖ alone, and wᵢₖ touches output k alone, with xᵢ in front of it:

    ∂yₖ/∂xᵢ = wᵢₖ        ∂yₖ/∂wᵢₖ = xᵢ        ∂yₖ/∂bₖ = 1

The chain rule sums over every way to the loss: over the outputs for x, over the samples n of the batch for w and b.

    x̄ = ȳ wᵀ             w̄ = xᵀ ȳ             b̄ = Σₙ ȳₙ

The lecture writes one sample as a column, y = w x with w (out, in): there ∂L/∂x = (∂L/∂y) w and ∂L/∂wᵢⱼ = (∂L/∂yᵢ) xⱼ.
Here samples are rows and w is (in, out), the transpose, so that a batch is one matrix product.
"""

from __future__ import annotations

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_rank, require_shape
from purecnn.ops import accumulation_dtype, matmul_transposed
from purecnn.rules import rule


@rule
def dense(
    x: Float[Array, "n inputs"], w: Float[Array, "inputs outputs"], b: Float[Array, " outputs"] | None = None
) -> Float[Array, "n outputs"]:
    """Each sample times `w`, plus `b`.

    x (N, in), w (in, out), b (out,) or None -> y (N, out), all of one floating dtype. 16-bit products accumulate in
    float32 and are rounded once, before b is added. Residuals: x, w, b. Raises ValueError or TypeError on other shapes
    or dtypes.
    """
    require_floats("dense", x=x, w=w, b=b)
    require_rank("dense", "N in", x=x)
    require_rank("dense", "in out", w=w)
    if x.shape[1] != w.shape[0]:
        raise ValueError(f"dense: w: got shape {w.shape}, expected ({x.shape[1]}, out): one row per input of x")
    if b is None:
        return x @ w
    require_shape("dense", (w.shape[1],), "one per output", b=b)
    return x @ w + b[None, :]


@dense.def_fwd
def dense_fwd(x, w, b=None):
    """y and its residuals (x, w, b); b only tells the backward rule whether there is one."""
    return dense(x, w, b), (x, w, b)


@dense.def_bwd
def dense_bwd(residuals, y_bar):
    """x̄ (N, in), w̄ (in, out), b̄ (out,) or None, from ȳ (N, out)."""
    x, w, b = residuals
    x_bar = matmul_transposed(y_bar, w)
    w_bar = x.T @ y_bar
    b_bar = None if b is None else y_bar.sum(axis=0, dtype=accumulation_dtype(b.dtype)).astype(b.dtype)
    return x_bar, w_bar, b_bar
