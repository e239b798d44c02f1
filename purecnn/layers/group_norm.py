"""Group normalisation (Wu and He 2018): each sample by itself, its channels in G groups.

G = 1 is layer normalisation of whole samples, G = C instance normalisation.

    μ = (1/m) Σ x      v = (1/m) Σ (x − μ)²      x̂ = (x − μ) r  with  r = (v + ε)^{−½}      y = γ x̂ + β

Sums run over the m entries of a group in one sample: every position s, and C/G channels c. γ and β are (C,). Into x̂
comes γ ȳ, and x acts on x̂ directly, through μ and through v, as in batch normalisation:

    x̄ = r (γ ȳ − (1/m) Σ γ ȳ − x̂ (1/m) Σ γ ȳ x̂)

γ does not change from position to position. So two sums over the positions alone, one number per sample and channel,

    A = Σ_s ȳ      B = Σ_s ȳ x̂

are all that is needed: γ̄ = Σ_n B and β̄ = Σ_n A over the samples, and the two means are (1/m) Σ γ A and (1/m) Σ γ B over
the channels of a group.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_channels
from purecnn.geometry import integer
from purecnn.ops import accumulation_dtype, per_channel, rounded, sums_to_channels
from purecnn.rules import rule


@rule
def group_norm(
    x: Float[Array, "n *positions c"],
    scale: Float[Array, " c"],
    bias: Float[Array, " c"],
    *,
    groups: int,
    epsilon: float = 1e-5,
) -> Float[Array, "n *positions c"]:
    """Normalise each group of channels of each sample: x (N, ..., C), scale and bias (C,) -> y (N, ..., C).

    The variance is the biased one. 16-bit inputs are computed in float32. Smooth for epsilon > 0. Residuals: x, scale,
    and μ and r, (N, G). Raises ValueError or TypeError for other shapes or dtypes, epsilon ≤ 0, or `groups` that do
    not divide C.
    """
    return _normalise(x, scale, bias, groups, epsilon)[0]


@group_norm.def_fwd
def group_norm_fwd(x, scale, bias, *, groups, epsilon=1e-5):
    """y and the residuals (x, scale, μ, r); it shares the statistics with the primal."""
    y, mean, r = _normalise(x, scale, bias, groups, epsilon)
    return y, (x, scale, mean, r)


@group_norm.def_bwd
def group_norm_bwd(residuals, y_bar, *, groups, epsilon=1e-5):
    """x̄ (N, ..., C), the scale's and the bias's cotangents (C,)."""
    x, scale, mean, r = residuals
    wide, gamma = r.dtype, scale.astype(r.dtype)

    def x_hat(x, mean, r):
        return (x.astype(wide) - mean) * r

    def terms(y_bar, x, mean, r):
        return y_bar, y_bar.astype(wide) * x_hat(x, mean, r)

    mean, r = _to_channels(mean, x), _to_channels(r, x)
    A, B = sums_to_channels(terms, y_bar, x, mean, r, per_sample=True)
    of_y_bar, along = (_to_channels(_group_means(gamma[None, :] * sums, x, groups), x) for sums in (A, B))
    x_bar = r * (per_channel(gamma, x) * y_bar.astype(wide) - of_y_bar - x_hat(x, mean, r) * along)
    return rounded(x_bar, x.dtype), B.sum(axis=0).astype(scale.dtype), A.sum(axis=0).astype(scale.dtype)


def _normalise(x, scale, bias, groups, epsilon):
    """y, and μ and r (N, G). One read of x gives both, shifted by one entry k of the group: see `batch_norm`."""
    require_channels("group_norm", x, scale, bias, epsilon)
    if x.shape[-1] % integer("group_norm", "groups", groups, 1):
        raise ValueError(f"group_norm: groups: got {groups}, expected a divisor of the {x.shape[-1]} channels")
    if math.prod(x.shape[1:]) == 0:
        raise ValueError(f"group_norm: x: got shape {x.shape}, expected at least one entry per group")
    wide = accumulation_dtype(x.dtype)
    first = x.reshape(x.shape[0], -1, x.shape[-1])[:, 0, :: x.shape[-1] // groups]
    k = lax.stop_gradient(first.astype(wide))

    def terms(x, k):
        d = x.astype(wide) - k
        return d, d * d

    sums = sums_to_channels(terms, x, _to_channels(k, x), per_sample=True)
    of_d, of_squares = (_group_means(total, x, groups) for total in sums)
    mean, variance = k + of_d, jnp.maximum(of_squares - of_d * of_d, jnp.zeros((), wide))
    r = (variance + epsilon) ** -0.5
    slope = _to_channels(r, x) * per_channel(scale.astype(wide), x)
    y = (x.astype(wide) - _to_channels(mean, x)) * slope + per_channel(bias.astype(wide), x)
    return y.astype(x.dtype), mean, r


def _group_means(sums, x, groups):
    """(N, C) sums over positions as (N, G) means over the entries of a group."""
    entries = math.prod(x.shape[1:]) // groups
    return sums.reshape(sums.shape[0], groups, -1).sum(axis=-1) / entries


def _to_channels(of_groups, x):
    """(N, G) as (N, 1, …, 1, C), which broadcasts against x."""
    channels = jnp.repeat(of_groups, x.shape[-1] // of_groups.shape[-1], axis=-1)
    return channels.reshape(channels.shape[:1] + (1,) * (len(x.shape) - 2) + channels.shape[1:])
