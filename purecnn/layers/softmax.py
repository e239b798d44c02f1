"""Softmax (lecture row 4).

    yᵢ = e^{xᵢ} / Σⱼ e^{xⱼ}

Every output sees every input: through the numerator its own, through the denominator all of them, so that
∂yᵢ/∂xⱼ = yᵢ ([i = j] − yⱼ). Summed over the outputs with ȳ,

    x̄ⱼ = yⱼ (ȳⱼ − Σᵢ ȳᵢ yᵢ)

A shift of all xᵢ cancels in the quotient; the largest is subtracted first, so that no exponential overflows. In front
of a cross-entropy use `softmax_cross_entropy`, whose rule is the two together: ŷ − y.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats
from purecnn.geometry import integer
from purecnn.ops import accumulation_dtype, rounded
from purecnn.rules import rule


@functools.partial(rule, static=("axis",))
def softmax(x: Float[Array, "*shape"], axis: int = -1) -> Float[Array, "*shape"]:
    """Probabilities along `axis`, for x of rank ≥ 1 and any floating dtype; 16-bit sums in float32.

    Smooth everywhere. Residuals: y. Raises TypeError for a dtype that is not floating, ValueError for a scalar or an
    axis that x does not have.
    """
    require_floats("softmax", x=x)
    if not x.shape:
        raise ValueError(f"softmax: x: got shape {x.shape}, expected at least one axis, the classes")
    if integer("softmax", "axis", axis, -len(x.shape)) >= len(x.shape):
        raise ValueError(f"softmax: axis: got {axis}, expected an axis of x, of shape {x.shape}")
    wide = x.astype(accumulation_dtype(x.dtype))
    powers = jnp.exp(wide - wide.max(axis=axis, keepdims=True))
    return (powers / powers.sum(axis=axis, keepdims=True)).astype(x.dtype)


@softmax.def_fwd
def softmax_fwd(x, axis=-1):
    """y and its residual, y itself."""
    y = softmax(x, axis)
    return y, (y,)


@softmax.def_bwd
def softmax_bwd(residuals, y_bar, axis=-1):
    """x̄, of the shape and dtype of x."""
    (y,) = residuals
    wide = accumulation_dtype(y.dtype)
    y_wide, y_bar_wide = y.astype(wide), y_bar.astype(wide)
    mean = (y_bar_wide * y_wide).sum(axis=axis, keepdims=True)
    return (rounded(y_wide * (y_bar_wide - mean), y.dtype),)
