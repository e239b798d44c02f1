"""ReLU with a small slope below zero (Maas et al. 2013), so that every unit keeps a gradient.

    yᵢ = xᵢ for xᵢ > 0,   a xᵢ otherwise

At zero there is no derivative; the convention here is a, the slope from below, as in PyTorch and as ReLU's is 0.

    x̄ᵢ = ȳᵢ for xᵢ > 0,   a ȳᵢ otherwise

For a ≥ 0 xᵢ > 0 where yᵢ > 0, so that y is all that the backward rule needs. For a < 0 both sides give positive y, and
it needs x.
"""

from __future__ import annotations

import jax.numpy as jnp

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_number
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule


@rule
def leaky_relu(x: Float[Array, "*shape"], *, negative_slope: float = 0.01) -> Float[Array, "*shape"]:
    """x above zero and `negative_slope` · x elsewhere, elementwise, for x of any shape and floating dtype.

    The slope at +0 and −0 is `negative_slope`. Residuals: y, which as the next layer's input is kept there anyway; x
    for a negative `negative_slope`. Raises TypeError for a dtype that is not floating.
    """
    require_floats("leaky_relu", x=x)
    require_number("leaky_relu", "negative_slope", negative_slope)
    return jnp.where(x > 0, x, _scaled(x, negative_slope))


@leaky_relu.def_fwd
def leaky_relu_fwd(x, *, negative_slope=0.01):
    """y and its residual: y, or x for a negative slope."""
    y = leaky_relu(x, negative_slope=negative_slope)
    return y, (y if negative_slope >= 0 else x,)


@leaky_relu.def_bwd
def leaky_relu_bwd(residuals, y_bar, *, negative_slope=0.01):
    """x̄, of the shape and dtype of ȳ."""
    (kept,) = residuals
    return (jnp.where(kept > 0, y_bar, _scaled(y_bar, negative_slope)),)


def _scaled(a, slope):
    """In float32 for 16 bits, which would round the slope itself."""
    return (a.astype(accumulation_dtype(a.dtype)) * slope).astype(a.dtype)
