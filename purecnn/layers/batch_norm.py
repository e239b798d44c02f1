"""Batch normalisation (Ioffe and Szegedy 2015), with the batch's own statistics.

    μ = (1/m) Σ x      v = (1/m) Σ (x − μ)²      x̂ = (x − μ) r  with  r = (v + ε)^{−½}      y = γ x̂ + β

Sums run over the m entries of a channel: every axis but the last. γ and β touch each entry of their channel:

    γ̄ = Σ ȳ x̂          β̄ = Σ ȳ          and into x̂:  ȳ γ

x acts on x̂ directly, through μ, and through v. With ∂μ/∂x = 1/m, ∂v/∂x = 2(x − μ)/m and ∂r/∂v = −½ r³,

    x̄ = r γ (ȳ − Σȳ/m − x̂ Σ(ȳ x̂)/m)  +  μ̄/m  +  2 v̄ (x − μ)/m

where μ̄ and v̄ are the cotangents of the returned statistics (zero if the caller only stores them): the first sum is
the way through μ, the second the way through v.
"""

from __future__ import annotations

import math

from purecnn.annotations import Array, Float
from purecnn.checks import require_channels
from purecnn.ops import accumulation_dtype, per_channel
from purecnn.rules import rule


@rule
def batch_norm(
    x: Float[Array, "*batch c"], scale: Float[Array, " c"], bias: Float[Array, " c"], *, epsilon: float = 1e-5
) -> tuple[Float[Array, "*batch c"], Float[Array, " c"], Float[Array, " c"]]:
    """Normalise each channel by the batch: x (..., C), scale and bias (C,) -> y (..., C), mean (C,), variance (C,).

    The variance is the biased one. Statistics of 16-bit inputs are computed and returned in float32. Smooth for
    epsilon > 0. Residuals: x, scale, mean, r. Raises ValueError or TypeError for other shapes or dtypes, or
    epsilon ≤ 0.
    """
    y, mean, variance, _ = _normalise(x, scale, bias, epsilon)
    return y, mean, variance


@batch_norm.def_fwd
def batch_norm_fwd(x, scale, bias, *, epsilon=1e-5):
    """(y, mean, variance) and the residuals (x, scale, mean, r); it shares the statistics with the primal."""
    y, mean, variance, r = _normalise(x, scale, bias, epsilon)
    return (y, mean, variance), (x, scale, mean, r)


@batch_norm.def_bwd
def batch_norm_bwd(residuals, y_bar, *, epsilon=1e-5):
    """x̄ (..., C), the scale's and the bias's cotangents (C,), from those of (y, mean, variance)."""
    x, scale, mean, r = residuals
    y_bar, mean_bar, variance_bar = y_bar
    axes, m = _entries(x)
    centred = x.astype(r.dtype) - per_channel(mean, x)
    x_hat = centred * per_channel(r, x)
    wide = y_bar.astype(r.dtype)
    bias_bar, scale_bar = wide.sum(axis=axes), (wide * x_hat).sum(axis=axes)
    inner = wide - per_channel(bias_bar, x) / m - x_hat * per_channel(scale_bar, x) / m
    x_bar = per_channel(r * scale.astype(r.dtype), x) * inner
    x_bar = x_bar + per_channel(mean_bar, x) / m + 2 * per_channel(variance_bar, x) * centred / m
    return x_bar.astype(x.dtype), scale_bar.astype(scale.dtype), bias_bar.astype(scale.dtype)


def _normalise(x, scale, bias, epsilon):
    require_channels("batch_norm", x, scale, bias, epsilon)
    axes, m = _entries(x)
    if m == 0:
        raise ValueError(f"batch_norm: x: got shape {x.shape}, expected at least one entry per channel")
    wide = x.astype(accumulation_dtype(x.dtype))
    mean = wide.mean(axis=axes)
    centred = wide - per_channel(mean, x)
    variance = (centred * centred).mean(axis=axes)
    r = (variance + epsilon) ** -0.5
    y = centred * per_channel(r * scale.astype(wide.dtype), x) + per_channel(bias.astype(wide.dtype), x)
    return y.astype(x.dtype), mean, variance, r


def _entries(x):
    """The axes a channel's sums run over, and how many entries that is."""
    return tuple(range(len(x.shape) - 1)), math.prod(x.shape[:-1])
