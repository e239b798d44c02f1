"""Batch normalisation (Ioffe and Szegedy 2015), with the batch's own statistics.

    μ = (1/m) Σ x      v = (1/m) Σ (x − μ)²      x̂ = (x − μ) r  with  r = (v + ε)^{−½}      y = γ x̂ + β

Sums run over the m entries of a channel: every axis but the last. γ and β touch each entry of their channel:

    γ̄ = Σ ȳ x̂          β̄ = Σ ȳ          and into x̂:  ȳ γ

x acts on x̂ directly, through μ, and through v. With ∂μ/∂x = 1/m, ∂v/∂x = 2(x − μ)/m and ∂r/∂v = −½ r³,

    x̄ = r γ (ȳ − Σȳ/m − x̂ Σ(ȳ x̂)/m)  +  μ̄/m  +  2 v̄ (x − μ)/m

where μ̄ and v̄ are the cotangents of the returned statistics (zero if the caller only stores them): the first sum is
the way through μ, the second the way through v. Collected by what multiplies ȳ, x and nothing, in each channel,

    x̄ = a ȳ + b (x − μ) + c        a = r γ        b = (2 v̄ − a r γ̄) / m        c = (μ̄ − a β̄) / m

*On several devices* (`axis_name`) nothing changes but where the entries are: m counts those of all devices, and every Σ
that stands for a way through μ or v runs over all of them, for each x moves the μ and v that every device uses. Of each
sum a device adds up its own entries, and `psum` the devices'. γ̄ and β̄ as a device returns them stay sums over its own
entries: γ and β are its own copies, and whoever gave the copies adds up their cotangents.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_channels
from purecnn.mapped_axes import AxisName, device_count, own_copies, sum_of_copies, sum_of_devices
from purecnn.ops import accumulation_dtype, per_channel, sums_to_channels
from purecnn.rules import rule


@rule
def batch_norm(
    x: Float[Array, "*batch c"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    *,
    epsilon: float = 1e-5,
    axis_name: AxisName = None,
) -> tuple[Float[Array, "*batch c"], Float[Array, " c"], Float[Array, " c"]]:
    """Normalise each channel by the batch: x (..., C), scale and bias (C,) -> y (..., C), mean (C,), variance (C,).

    The variance is the biased one. Statistics of 16-bit inputs are computed and returned in float32. With `axis_name`,
    that of a `pmap`, `shard_map` or named `vmap` (or several), they are those of the entries of all devices. Smooth for
    epsilon > 0. Residuals: x, scale, mean, r. Raises ValueError or TypeError for other shapes or dtypes, epsilon ≤ 0,
    or an axis that is not mapped over.
    """
    y, mean, variance, _ = _normalise(x, scale, bias, epsilon, axis_name)
    return y, *own_copies((mean, variance), axis_name, x, y)


@batch_norm.def_fwd
def batch_norm_fwd(x, scale, bias, *, epsilon=1e-5, axis_name=None, within=None):
    """(y, mean, variance) and the residuals (x, scale, mean, r), with `within` the bias, too; it shares the statistics
    with the primal."""
    y, mean, variance, r = _normalise(x, scale, bias, epsilon, axis_name)
    residuals = (x, scale, mean, r) if within is None else (x, scale, mean, r, bias)
    return (y, *own_copies((mean, variance), axis_name, x, y)), residuals


@batch_norm.def_bwd
def batch_norm_bwd(residuals, y_bar, *, epsilon=1e-5, axis_name=None, within=None):
    """x̄ (..., C), the scale's and the bias's cotangents (C,), from those of (y, mean, variance).

    With the bounds `within` ȳ counts where y is inside them: it is that of a ReLU behind (`purecnn.masks`).
    """
    x, scale, mean, r, *bias = residuals
    y_bar, mean_bar, variance_bar = y_bar
    m, wide = math.prod(x.shape[:-1]) * device_count("batch_norm", axis_name), r.dtype
    a, edges, operands = r * scale.astype(wide), [], (y_bar, x)
    if within is not None:
        edges = [bound - bias[0].astype(wide) for bound in within if bound is not None]
        # XLA would compute these for every entry, and share what counts between the two passes in an array of its own.
        a, edges, operands = lax.optimization_barrier((a, edges, operands))

    def counted(y_bar, centred):
        """ȳ, with `within` where y = a (x − μ) + β is inside it: where a (x − μ) is between the edges."""
        if not edges:
            return y_bar
        rise = per_channel(a, centred) * centred
        inside = per_channel(edges[0], rise) < rise
        if len(edges) > 1:
            inside &= rise < per_channel(edges[1], rise)
        return jnp.where(inside, y_bar, jnp.zeros_like(y_bar))

    def terms(y_bar, x):
        centred = x.astype(wide) - per_channel(mean, x)
        y_bar = counted(y_bar, centred)
        return y_bar, y_bar.astype(wide) * centred

    bias_bar, along = sums_to_channels(terms, *operands)
    scale_bar = r * along
    every_scale_bar, every_bias_bar = sum_of_devices((scale_bar, bias_bar), axis_name)
    mean_bar, variance_bar = sum_of_copies((mean_bar, variance_bar), axis_name, x)
    b = (2 * variance_bar - a * r * every_scale_bar) / m
    c = (mean_bar - a * every_bias_bar) / m
    centred = x.astype(wide) - per_channel(mean, x)
    y_bar = counted(y_bar, centred)
    x_bar = per_channel(a, x) * y_bar.astype(wide) + per_channel(b, x) * centred + per_channel(c, x)
    return x_bar.astype(x.dtype), scale_bar.astype(scale.dtype), bias_bar.astype(scale.dtype)


def _normalise(x, scale, bias, epsilon, axis_name):
    """y, μ, v and r. One read of x gives both statistics: with d = x − k, whatever k, μ = k + mean d and
    v = mean d² − (mean d)². The first entry of the channel for k keeps the difference from cancelling where μ ≫ √v.

    Devices have a k, a μ_i and a v_i each, of equally many entries: μ is the mean of the μ_i, and v that of
    v_i + (μ_i − μ)² (Chan, Golub and LeVeque 1983), in which nothing large cancels either.
    """
    require_channels("batch_norm", x, scale, bias, epsilon)
    m = math.prod(x.shape[:-1])
    if m == 0:
        raise ValueError(f"batch_norm: x: got shape {x.shape}, expected at least one entry per channel")
    wide = accumulation_dtype(x.dtype)
    k = lax.stop_gradient(x[(0,) * (len(x.shape) - 1)].astype(wide))

    def terms(x):
        d = x.astype(wide) - per_channel(k, x)
        return d, d * d

    first, second = (total / m for total in sums_to_channels(terms, x))
    mean, variance = k + first, jnp.maximum(second - first * first, jnp.zeros((), wide))
    if axis_name is not None:
        own, devices = mean, device_count("batch_norm", axis_name)
        mean = sum_of_devices(own, axis_name) / devices
        variance = sum_of_devices(variance + (own - mean) ** 2, axis_name) / devices
    r = (variance + epsilon) ** -0.5
    centred = x.astype(wide) - per_channel(mean, x)
    y = centred * per_channel(r * scale.astype(wide), x) + per_channel(bias.astype(wide), x)
    return y.astype(x.dtype), mean, variance, r
