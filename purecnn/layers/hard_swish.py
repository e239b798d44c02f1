"""Swish with a straight line for the sigmoid (Howard et al. 2019), the activation of MobileNet-V3.

    yᵢ = xᵢ h(xᵢ)          h(x) = min(max(0, x + 3), 6) / 6

Below −3 the line h is 0, above 3 it is 1; between, y = x (x + 3) / 6, whose derivative is (2x + 3) / 6. At −3 the two
one-sided slopes are 0 and −½, at 3 they are 3/2 and 1: the convention here is that of the outer side, 0 and 1.

    x̄ᵢ = ȳᵢ · 0 for xᵢ ≤ −3,   ȳᵢ (2xᵢ + 3) / 6 between,   ȳᵢ for xᵢ ≥ 3
"""

from __future__ import annotations

import jax.numpy as jnp

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule


@rule
def hard_swish(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x · min(max(0, x + 3), 6) / 6, elementwise, for x of any shape and floating dtype.

    The slope is 0 at −3 and 1 at 3. 16-bit inputs are computed in float32. Residuals: x. Raises TypeError for a dtype
    that is not floating.
    """
    require_floats("hard_swish", x=x)
    wide = x.astype(accumulation_dtype(x.dtype))
    return _cases(wide, jnp.zeros_like(wide), wide * ((wide + 3) / 6), wide).astype(x.dtype)


@hard_swish.def_fwd
def hard_swish_fwd(x):
    """y and its residual x."""
    return hard_swish(x), (x,)


@hard_swish.def_bwd
def hard_swish_bwd(residuals, y_bar):
    """x̄, of the shape and dtype of x."""
    (x,) = residuals
    wide, y_bar_wide = (a.astype(accumulation_dtype(x.dtype)) for a in (x, y_bar))
    x_bar = _cases(wide, jnp.zeros_like(wide), y_bar_wide * ((2 * wide + 3) / 6), y_bar_wide)
    return (x_bar.astype(x.dtype),)


def _cases(x, below, between, above):
    return jnp.where(x <= -3, below, jnp.where(x >= 3, above, between))
