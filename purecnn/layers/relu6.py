"""ReLU cut off at 6 (Krizhevsky 2010), the activation of MobileNet-V2.

    yᵢ = min(max(0, xᵢ), 6)

Each output depends on its own input, with slope 1 between the bounds and 0 outside. At 0 and at 6 there is no
derivative; the convention here is slope 0 at both, PyTorch's.

    x̄ᵢ = ȳᵢ [0 < yᵢ < 6]

0 < xᵢ < 6 exactly where 0 < yᵢ < 6, so y is all that the backward rule needs.
"""

from __future__ import annotations

import jax.numpy as jnp

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats
from purecnn.rules import rule


@rule
def relu6(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """min(max(0, x), 6), elementwise, for x of any shape and floating dtype.

    The slope at 0 and at 6 is 0, and at NaN too. Residuals: y, which as the next layer's input is kept there anyway.
    Raises TypeError for a dtype that is not floating.
    """
    require_floats("relu6", x=x)
    return jnp.where(x <= 0, jnp.zeros_like(x), jnp.where(x >= 6, jnp.full_like(x, 6), x))


@relu6.def_fwd
def relu6_fwd(x):
    """y and its residual, y itself."""
    y = relu6(x)
    return y, (y,)


@relu6.def_bwd
def relu6_bwd(residuals, y_bar):
    """x̄, of the shape and dtype of ȳ."""
    (y,) = residuals
    return (jnp.where((y > 0) & (y < 6), y_bar, jnp.zeros_like(y_bar)),)
