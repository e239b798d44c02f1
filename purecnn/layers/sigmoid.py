"""Logistic sigmoid, the σ of the lecture's two-layer net (row 2).

    yᵢ = σ(xᵢ) = 1 / (1 + e^{−xᵢ})

Differentiating the quotient, dσ/dx = e^{−x} / (1 + e^{−x})², whose factors are σ(x) and 1 − σ(x) = σ(−x):

    x̄ᵢ = ȳᵢ σ(xᵢ) σ(−xᵢ)

Written y (1 − y), as most texts do, the second factor is a difference of nearly equal numbers where σ saturates: in
float32 it is exactly 0 from x = 17 on, while the derivative there is 4e−8. σ(−x) keeps all its digits. The product is
the same at x and −x, and where x ≤ 0 nothing cancels in σ(−x) = 1 − σ(x): one exponential, at −|x|, is enough.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats
from purecnn.ops import accumulation_dtype, rounded
from purecnn.rules import rule


@rule
def sigmoid(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """1 / (1 + exp(−x)), elementwise, for x of any shape and floating dtype.

    Smooth everywhere, no overflow for large |x|. 16-bit inputs are computed in float32. Residuals: x. Raises TypeError
    for a dtype that is not floating.
    """
    require_floats("sigmoid", x=x)
    return lax.logistic(x.astype(accumulation_dtype(x.dtype))).astype(x.dtype)


@sigmoid.def_fwd
def sigmoid_fwd(x):
    """y and its residual x."""
    return sigmoid(x), (x,)


@sigmoid.def_bwd
def sigmoid_bwd(residuals, y_bar):
    """x̄, of the shape and dtype of x."""
    (x,) = residuals
    wide = x.astype(accumulation_dtype(x.dtype))
    y = lax.logistic(jnp.where(wide > 0, -wide, wide))  # at −|x|, which JAX would differentiate to 0 at 0
    return (rounded(y_bar.astype(wide.dtype) * (y * (1 - y)), x.dtype),)
