"""Batch normalisation (Ioffe and Szegedy 2015), with the batch's own statistics and with given ones.

    μ = (1/m) Σ x      v = (1/m) Σ (x − μ)²      x̂ = (x − μ) r  with  r = (v + ε)^{−½}      y = γ x̂ + β

Sums run over the m entries of a channel: every axis but the last. γ and β touch each entry of their channel:

    γ̄ = Σ ȳ x̂          β̄ = Σ ȳ          and into x̂:  ȳ γ

x acts on x̂ directly, through μ, and through v. With ∂μ/∂x = 1/m, ∂v/∂x = 2(x − μ)/m and ∂r/∂v = −½ r³,

    x̄ = r γ (ȳ − Σȳ/m − x̂ Σ(ȳ x̂)/m)  +  μ̄/m  +  2 v̄ (x − μ)/m

where μ̄ and v̄ are the cotangents of the returned statistics (zero if the caller only stores them): the first sum is
the way through μ, the second the way through v. With given statistics (inference) those two ways are closed:

    x̄ = r γ ȳ          μ̄ = −r γ Σ ȳ          v̄ = −½ r² γ Σ ȳ x̂
"""

from __future__ import annotations

import math

from purecnn.annotations import Array, Float
from purecnn.arguments import accumulation_dtype, require_floats, require_shape
from purecnn.rules import rule


@rule
def batch_norm(
    x: Float[Array, "*batch c"], scale: Float[Array, " c"], bias: Float[Array, " c"], *, epsilon: float = 1e-5
) -> tuple[Float[Array, "*batch c"], Float[Array, " c"], Float[Array, " c"]]:
    """Normalise each channel by the batch: x (..., C), scale and bias (C,) -> y (..., C), mean (C,), variance (C,).

    The variance is the biased one. Statistics of 16-bit inputs are computed and returned in float32. Smooth for
    epsilon > 0. Kept for the backward rule: x, scale, mean, r. Raises ValueError or TypeError for other shapes or
    dtypes, or epsilon ≤ 0.
    """
    y, mean, variance, _ = _normalise(x, scale, bias, epsilon)
    return y, mean, variance


def batch_norm_fwd(x, scale, bias, *, epsilon=1e-5):
    """(y, mean, variance) and the residuals (x, scale, mean, r); it shares the statistics with the primal."""
    y, mean, variance, r = _normalise(x, scale, bias, epsilon)
    return (y, mean, variance), (x, scale, mean, r)


def batch_norm_bwd(residuals, y_bar, *, epsilon=1e-5):
    """x̄ (..., C), the scale's and the bias's cotangents (C,), from those of (y, mean, variance)."""
    x, scale, mean, r = residuals
    y_bar, mean_bar, variance_bar = y_bar
    axes, m = _entries(x)
    centred = x.astype(r.dtype) - _row(mean, x)
    x_hat = centred * _row(r, x)
    wide = y_bar.astype(r.dtype)
    bias_bar, scale_bar = wide.sum(axis=axes), (wide * x_hat).sum(axis=axes)
    inner = wide - _row(bias_bar, x) / m - x_hat * _row(scale_bar, x) / m
    x_bar = _row(r * scale.astype(r.dtype), x) * inner
    x_bar = x_bar + _row(mean_bar, x) / m + 2 * _row(variance_bar, x) * centred / m
    return x_bar.astype(x.dtype), scale_bar.astype(scale.dtype), bias_bar.astype(scale.dtype)


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
    variance + epsilon > 0. Kept for the backward rule: x, scale, mean, variance. Raises as `batch_norm` does.
    """
    _require("batch_norm_inference", x, scale, bias, epsilon)
    require_floats("batch_norm_inference", mean=mean, variance=variance)
    require_shape("batch_norm_inference", x.shape[-1:], "one per channel of x", mean=mean, variance=variance)
    wide = accumulation_dtype(x.dtype)
    r = (variance.astype(wide) + epsilon) ** -0.5
    x_hat = (x.astype(wide) - _row(mean.astype(wide), x)) * _row(r, x)
    return (x_hat * _row(scale.astype(wide), x) + _row(bias.astype(wide), x)).astype(x.dtype)


def batch_norm_inference_fwd(x, scale, bias, mean, variance, *, epsilon=1e-5):
    """y and the residuals (x, scale, mean, variance)."""
    return batch_norm_inference(x, scale, bias, mean, variance, epsilon=epsilon), (x, scale, mean, variance)


def batch_norm_inference_bwd(residuals, y_bar, *, epsilon=1e-5):
    """Cotangents of x (..., C), scale, bias, mean and variance (C,)."""
    x, scale, mean, variance = residuals
    axes, _ = _entries(x)
    dtype = accumulation_dtype(x.dtype)
    wide, gamma = y_bar.astype(dtype), scale.astype(dtype)
    r = (variance.astype(dtype) + epsilon) ** -0.5
    x_hat = (x.astype(dtype) - _row(mean.astype(dtype), x)) * _row(r, x)
    bias_bar, scale_bar = wide.sum(axis=axes), (wide * x_hat).sum(axis=axes)
    x_bar = wide * _row(r * gamma, x)
    mean_bar, variance_bar = -r * gamma * bias_bar, -0.5 * r * r * gamma * scale_bar
    return (
        x_bar.astype(x.dtype),
        scale_bar.astype(scale.dtype),
        bias_bar.astype(scale.dtype),
        mean_bar.astype(mean.dtype),
        variance_bar.astype(variance.dtype),
    )


def _normalise(x, scale, bias, epsilon):
    _require("batch_norm", x, scale, bias, epsilon)
    axes, m = _entries(x)
    if m == 0:
        raise ValueError(f"batch_norm: x: got shape {x.shape}, expected at least one entry per channel")
    wide = x.astype(accumulation_dtype(x.dtype))
    mean = wide.mean(axis=axes)
    centred = wide - _row(mean, x)
    variance = (centred * centred).mean(axis=axes)
    r = (variance + epsilon) ** -0.5
    y = centred * _row(r * scale.astype(wide.dtype), x) + _row(bias.astype(wide.dtype), x)
    return y.astype(x.dtype), mean, variance, r


def _require(layer, x, scale, bias, epsilon):
    require_floats(layer, x=x, scale=scale, bias=bias)
    if len(x.shape) < 2:
        raise ValueError(f"{layer}: x: got shape {x.shape}, expected a batch axis and a last axis of channels")
    require_shape(layer, x.shape[-1:], "one per channel of x", scale=scale, bias=bias)
    if not epsilon > 0:
        raise ValueError(f"{layer}: epsilon: got {epsilon}, expected above 0")


def _entries(x):
    """The axes a channel's sums run over, and how many entries that is."""
    return tuple(range(len(x.shape) - 1)), math.prod(x.shape[:-1])


def _row(channels, x):
    """(C,) as (1, ..., 1, C), to stand beside x."""
    return channels.reshape((1,) * (len(x.shape) - 1) + channels.shape)


batch_norm.defvjp(batch_norm_fwd, batch_norm_bwd)
batch_norm_inference.defvjp(batch_norm_inference_fwd, batch_norm_inference_bwd)
