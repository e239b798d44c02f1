"""Layer normalisation (Ba, Kiros and Hinton 2016) along the last axis, as in ConvNeXt and transformers.

    μ = (1/C) Σ x      v = (1/C) Σ (x − μ)²      x̂ = (x − μ) r  with  r = (v + ε)^{−½}      y = γ x̂ + β

Sums run over the C entries of a row; each row has its own μ and r. γ and β are (C,) and act on all rows:

    γ̄ = Σ_rows ȳ x̂          β̄ = Σ_rows ȳ          and into x̂:  g = ȳ γ

x acts on x̂ directly, through μ and through v, as in batch normalisation. With ∂μ/∂x = 1/C, ∂v/∂x = 2(x − μ)/C and
∂r/∂v = −½ r³,

    x̄ = r (g − (1/C) Σ g − x̂ (1/C) Σ (g x̂))

γ stays inside both means: unlike batch normalisation's it changes along the axis that is summed.
"""

from __future__ import annotations

from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_channels
from purecnn.ops import accumulation_dtype, mean_of_channels, per_channel, rounded, sums_to_channels
from purecnn.rules import rule


@rule
def layer_norm(
    x: Float[Array, "*batch c"], scale: Float[Array, " c"], bias: Float[Array, " c"], *, epsilon: float = 1e-5
) -> Float[Array, "*batch c"]:
    """Normalise each row by its own mean and variance: x (..., C), scale and bias (C,) -> y (..., C).

    The variance is the biased one. 16-bit inputs are computed in float32. Smooth for epsilon > 0. Residuals: x, scale,
    and μ and r, one number per row. Raises ValueError or TypeError for other shapes or dtypes, or epsilon ≤ 0.
    """
    return _normalise(x, scale, bias, epsilon)[0]


@layer_norm.def_fwd
def layer_norm_fwd(x, scale, bias, *, epsilon=1e-5):
    """y and the residuals (x, scale, μ, r); it shares the statistics with the primal."""
    y, mean, r = _normalise(x, scale, bias, epsilon)
    return y, (x, scale, mean, r)


@layer_norm.def_bwd
def layer_norm_bwd(residuals, y_bar, *, epsilon=1e-5):
    """x̄ (..., C), the scale's and the bias's cotangents (C,)."""
    x, scale, mean, r = residuals
    wide = r.dtype

    def x_hat(x, mean, r):
        return (x.astype(wide) - mean) * r

    def terms(y_bar, x, mean, r):
        return y_bar, y_bar.astype(wide) * x_hat(x, mean, r)

    # A GPU would share ȳ x̂ between these sums and those along a row, and write it in float32 to read it twice.
    bias_bar, scale_bar = sums_to_channels(terms, *lax.optimization_barrier((y_bar, x, mean, r)))
    y_bar = y_bar.astype(wide)
    mean_of_g, along = mean_of_channels(y_bar, scale), mean_of_channels(y_bar * x_hat(x, mean, r), scale)
    x_bar = r * (y_bar * per_channel(scale.astype(wide), x) - mean_of_g - x_hat(x, mean, r) * along)
    return rounded(x_bar, x.dtype), scale_bar.astype(scale.dtype), bias_bar.astype(scale.dtype)


def _normalise(x, scale, bias, epsilon):
    """y, and μ and r (..., 1). The variance is summed from x − μ, so that nothing cancels where μ ≫ √v."""
    require_channels("layer_norm", x, scale, bias, epsilon, batch=False)
    if x.shape[-1] == 0:
        raise ValueError(f"layer_norm: x: got shape {x.shape}, expected at least one channel")
    wide = x.astype(accumulation_dtype(x.dtype))
    mean = mean_of_channels(wide)
    r = lax.rsqrt(mean_of_channels((wide - mean) ** 2) + epsilon)
    y = (wide - mean) * r * per_channel(scale.astype(wide.dtype), x) + per_channel(bias.astype(wide.dtype), x)
    return y.astype(x.dtype), mean, r
