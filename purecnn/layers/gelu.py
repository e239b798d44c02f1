"""Gaussian error linear unit (Hendrycks and Gimpel 2016), the activation of ConvNeXt and of transformers.

    yᵢ = xᵢ Φ(xᵢ)          Φ(x) = ½ erfc(−x/√2), the normal distribution function

x occurs twice, and the derivative of Φ is the normal density φ(x) = e^{−x²/2} / √(2π):

    x̄ᵢ = ȳᵢ (Φ(xᵢ) + xᵢ φ(xᵢ))

The approximation replaces Φ(x) by ½ (1 + tanh(v/2)) = σ(v), with the sigmoid σ and

    v = 2 √(2/π) (x + 0.044715 x³)          dv/dx = 2 √(2/π) (1 + 3 · 0.044715 x²)

    x̄ᵢ = ȳᵢ σ(vᵢ) (1 + xᵢ σ(−vᵢ) dv/dx)

Far below zero ½ (1 + tanh) and ½ (1 + erf) are differences of nearly equal numbers; σ and erfc keep their digits there.
v is odd and σ(v) + σ(−v) = 1, so y(x) − y(−x) = x, and the slopes at x and −x add up to 1: one at −|x| is enough. There
σ(v) is small, and σ(−v) = 1 − σ(v) keeps its digits and needs no exponential of its own. So it is with Φ, which for
x ≤ 0 is e^{−x²/2} times a factor that falls slowly: a polynomial in t = 1 / (1 − 0.305 x), to 1e-7 of its value. Value
and slope share one exponential, where erfc takes two of its own (in float64 it is still erfc).
"""

from __future__ import annotations

import functools
import math

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats
from purecnn.ops import accumulation_dtype, rounded
from purecnn.rules import rule

CUBIC, SLOPE = 0.044715, 2 * math.sqrt(2 / math.pi)
# e^{x²/2} Φ(x) = Σ_k TAIL[k] t^{k+1} for x ≤ 0, fitted to scipy's erfcx down to −14.5, where float32 ends
FALL = 0.305
TAIL = (
    *(0.1216402424, 0.1224586803, 0.1034736996, 0.1208403748),
    *(-0.03762063764, 0.1853148795, -0.1527460644, 0.03663885983),
)


@rule
def gelu(x: Float[Array, "*shape"], *, approximate: bool = True) -> Float[Array, "*shape"]:
    """x Φ(x), elementwise, for x of any shape and floating dtype; by default Φ is the approximation with tanh.

    The default is `jax.nn.gelu`'s; PyTorch's `GELU()` is `approximate=False`. Smooth everywhere. 16-bit inputs are
    computed in float32. Residuals: x. Raises TypeError for a dtype that is not floating.
    """
    require_floats("gelu", x=x)
    wide = x.astype(accumulation_dtype(x.dtype))
    if approximate:
        share = lax.logistic(_v(wide))
    else:
        share, _ = _normal(_below(wide))
        share = jnp.where(wide > 0, 1 - share, share)
    return (wide * share).astype(x.dtype)


@gelu.def_fwd
def gelu_fwd(x, *, approximate=True):
    """y and its residual x."""
    return gelu(x, approximate=approximate), (x,)


@gelu.def_bwd
def gelu_bwd(residuals, y_bar, *, approximate=True):
    """x̄, of the shape and dtype of x."""
    (x,) = residuals
    # Beyond ±40 the slope is 0 or 1 to the last bit, in float64 too, while x² may overflow.
    wide = jnp.clip(x.astype(accumulation_dtype(x.dtype)), -40.0, 40.0)
    below = _below(wide)
    if approximate:
        share = lax.logistic(_v(below))
        slope = share * (1 + below * (1 - share) * (SLOPE * (1 + 3 * CUBIC * below * below)))
    else:
        share, density = _normal(below)
        slope = share + below * density
    slope = jnp.where(wide > 0, 1 - slope, slope)
    return (rounded(y_bar.astype(wide.dtype) * slope, x.dtype),)


def _v(x):
    return SLOPE * (x + CUBIC * x * x * x)


def _below(x):
    """−|x|, which JAX would differentiate to 0 at 0."""
    return jnp.where(x > 0, -x, x)


def _normal(x):
    """Φ(x) and φ(x) for x ≤ 0."""
    fall = jnp.exp(-0.5 * x * x)
    density = fall / math.sqrt(2 * math.pi)
    if x.dtype == jnp.float64:
        return 0.5 * lax.erfc(-math.sqrt(0.5) * x), density
    t = 1 / (1 - FALL * x)
    return fall * functools.reduce(lambda total, c: (total + c) * t, TAIL[::-1], 0.0), density
