"""Batch normalisation with given statistics, as at inference (Ioffe and Szegedy 2015).

    x̂ = (x − μ) r  with  r = (v + ε)^{−½}          y = γ x̂ + β

The last axis is the channels; μ, v, γ and β have one entry each and touch every entry of their channel. With
∂x̂/∂μ = −r and ∂r/∂v = −½ r³, and sums over every axis but the last,

    x̄ = r γ ȳ          γ̄ = Σ ȳ x̂          β̄ = Σ ȳ          μ̄ = −r γ Σ ȳ          v̄ = −½ r² γ Σ ȳ x̂
"""

from __future__ import annotations

from purecnn.annotations import Array, Float
from purecnn.checks import require_channels, require_floats, require_shape
from purecnn.ops import accumulation_dtype, per_channel, sums_to_channels
from purecnn.rules import rule


@rule
def batch_norm_inference(
    x: Float[Array, "*batch c"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    mean: Float[Array, " c"],
    variance: Float[Array, " c"],
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "*batch c"]:
    """Normalise each channel by given statistics: x (..., C) and four arrays (C,) -> y (..., C).

    `mean` and `variance` may be float32 beside 16-bit x, as `batch_norm` returns them. Smooth for
    variance + epsilon > 0. Residuals: x, scale, mean, variance. Raises as `batch_norm` does.
    """
    require_channels("batch_norm_inference", x, scale, bias, epsilon)
    require_floats("batch_norm_inference", mean=mean, variance=variance)
    require_shape("batch_norm_inference", x.shape[-1:], "one per channel of x", mean=mean, variance=variance)
    wide = accumulation_dtype(x.dtype)
    r = (variance.astype(wide) + epsilon) ** -0.5
    x_hat = (x.astype(wide) - per_channel(mean.astype(wide), x)) * per_channel(r, x)
    return (x_hat * per_channel(scale.astype(wide), x) + per_channel(bias.astype(wide), x)).astype(x.dtype)


@batch_norm_inference.def_fwd
def batch_norm_inference_fwd(x, scale, bias, mean, variance, *, epsilon=1e-5):
    """y and the residuals (x, scale, mean, variance)."""
    return batch_norm_inference(x, scale, bias, mean, variance, epsilon=epsilon), (x, scale, mean, variance)


@batch_norm_inference.def_bwd
def batch_norm_inference_bwd(residuals, y_bar, *, epsilon=1e-5):
    """Cotangents of x (..., C), scale, bias, mean and variance (C,)."""
    x, scale, mean, variance = residuals
    dtype = accumulation_dtype(x.dtype)
    r, gamma = (variance.astype(dtype) + epsilon) ** -0.5, scale.astype(dtype)

    def terms(y_bar, x):
        return y_bar, y_bar.astype(dtype) * (x.astype(dtype) - per_channel(mean.astype(dtype), x))

    bias_bar, along = sums_to_channels(terms, y_bar, x)
    scale_bar = r * along
    x_bar = y_bar.astype(dtype) * per_channel(r * gamma, x)
    mean_bar, variance_bar = -r * gamma * bias_bar, -0.5 * r * r * gamma * scale_bar
    return (
        x_bar.astype(x.dtype),
        scale_bar.astype(scale.dtype),
        bias_bar.astype(scale.dtype),
        mean_bar.astype(mean.dtype),
        variance_bar.astype(variance.dtype),
    )
