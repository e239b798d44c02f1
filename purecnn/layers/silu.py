"""Sigmoid linear unit, also called swish (Elfwing et al. 2017; Ramachandran et al. 2017), EfficientNet's activation.

    yᵢ = xᵢ σ(xᵢ)          σ(x) = 1 / (1 + e^{−x})

x occurs twice, and dσ/dx = σ(x) σ(−x):

    x̄ᵢ = ȳᵢ σ(xᵢ) (1 + xᵢ σ(−xᵢ))

σ(x) + σ(−x) = 1, so y(x) − y(−x) = x, and the slopes at x and −x add up to 1: that at −|x| is enough. There σ(x) is
small, and σ(−x) = 1 − σ(x) keeps its digits and needs no exponential of its own.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats
from purecnn.ops import accumulation_dtype, rounded
from purecnn.rules import rule


@rule
def silu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x σ(x), elementwise, for x of any shape and floating dtype.

    Smooth everywhere. 16-bit inputs are computed in float32. Residuals: x. Raises TypeError for a dtype that is not
    floating.
    """
    require_floats("silu", x=x)
    wide = x.astype(accumulation_dtype(x.dtype))
    return (wide * lax.logistic(wide)).astype(x.dtype)


@silu.def_fwd
def silu_fwd(x):
    """y and its residual x."""
    return silu(x), (x,)


@silu.def_bwd
def silu_bwd(residuals, y_bar):
    """x̄, of the shape and dtype of x."""
    (x,) = residuals
    wide = x.astype(accumulation_dtype(x.dtype))
    below = jnp.where(wide > 0, -wide, wide)  # −|x|, which JAX would differentiate to 0 at 0
    share = lax.logistic(below)
    slope = share * (1 + below * (1 - share))
    slope = jnp.where(wide > 0, 1 - slope, slope)
    return (rounded(y_bar.astype(wide.dtype) * slope, x.dtype),)
