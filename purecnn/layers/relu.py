"""Rectified linear unit (lecture row 8).

    yᵢ = max(0, xᵢ)

Each output depends on its own input, with slope 1 above zero and 0 below. At exactly zero there is no derivative: any
slope between the two one-sided ones, 0 and 1, is a subgradient, and which is used is a convention. The lecture writes
yᵢ > 0 on one slide and yᵢ ≥ 0 on the next; the default here is the first, slope 0.

    x̄ᵢ = ȳᵢ [xᵢ > 0] + ȳᵢ slope_at_zero [xᵢ = 0]

xᵢ > 0 where yᵢ > 0, so that for slope 0 y is all that the backward rule needs.
"""

from __future__ import annotations

import jax.numpy as jnp

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_number
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule


@rule
def relu(x: Float[Array, "*shape"], *, slope_at_zero: float = 0.0) -> Float[Array, "*shape"]:
    """max(0, x), elementwise, for x of any shape and floating dtype.

    The slope at +0 and −0 is `slope_at_zero`, from 0 to 1; at NaN it is 0, as in `jax.nn.relu`. Residuals: y, which as
    the next layer's input is kept there anyway; x where `slope_at_zero` is not 0. Raises TypeError for a dtype that is
    not floating, ValueError for a slope outside [0, 1].
    """
    require_floats("relu", x=x)
    require_number("relu", "slope_at_zero", slope_at_zero)
    if not 0 <= slope_at_zero <= 1:
        raise ValueError(f"relu: slope_at_zero: got {slope_at_zero}, expected between 0 and 1, the one-sided slopes")
    return jnp.maximum(x, jnp.zeros((), x.dtype))


@relu.def_fwd
def relu_fwd(x, *, slope_at_zero=0.0):
    """y and its residual: y, or x for another slope at zero than 0."""
    y = relu(x, slope_at_zero=slope_at_zero)
    return y, (y if slope_at_zero == 0 else x,)


@relu.def_bwd
def relu_bwd(residuals, y_bar, *, slope_at_zero=0.0):
    """x̄, of the shape and dtype of ȳ."""
    (kept,) = residuals
    # Of y > 0 XLA makes x > 0 and keeps x for it: then cuDNN's convolution cannot apply the ReLU itself. Not of 0 < y.
    x_bar = jnp.where(jnp.less(0, kept), y_bar, jnp.zeros_like(y_bar))
    if slope_at_zero != 0:
        scaled = y_bar.astype(accumulation_dtype(y_bar.dtype)) * slope_at_zero
        x_bar = jnp.where(kept == 0, scaled.astype(y_bar.dtype), x_bar)
    return (x_bar,)
