"""Local response normalisation across channels, after AlexNet's first two layers (row 1; Krizhevsky et al. 2012, §3.3).

    sᵢ = k + α Σ_{j near i} xⱼ²          yᵢ = xᵢ sᵢ^{−β}

"Near" is a band of `size` channels around i, cut off at the ends: from i − ⌊size/2⌋ to i + ⌊(size−1)/2⌋. An input acts
on its own output directly, and on every output whose band it is in through s:

    ∂yᵢ/∂xⱼ = sᵢ^{−β} [i = j] − 2αβ xⱼ xᵢ sᵢ^{−β−1} [j near i]

    x̄ⱼ = ȳⱼ sⱼ^{−β} − 2αβ xⱼ Σ_{i : j near i} ȳᵢ xᵢ sᵢ^{−β−1}

The last sum runs over the mirrored band, from j − ⌊(size−1)/2⌋ to j + ⌊size/2⌋.
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_floats, require_number, require_rank
from purecnn.geometry import integer
from purecnn.ops import accumulation_dtype, rounded
from purecnn.rules import rule


@rule
def local_response_norm(
    x: Float[Array, "n h w c"], *, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
) -> Float[Array, "n h w c"]:
    """x (N, H, W, C) divided by (k + alpha · sum of squares over `size` channels) ** beta, of the dtype of `x`.

    `alpha` multiplies the sum, as in the paper; torch and Caffe divide it by `size` first. Smooth for k > 0.
    Residuals: x. 16-bit inputs are computed in float32. Raises ValueError for a wrong rank, size < 1 or k ≤ 0,
    TypeError for a dtype that is not floating.
    """
    require_floats("local_response_norm", x=x)
    require_rank("local_response_norm", "N H W C", x=x)
    integer("local_response_norm", "size", size, 1)
    for name, value in {"alpha": alpha, "beta": beta, "k": k}.items():
        require_number("local_response_norm", name, value)
    if not k > 0 or alpha < 0:
        raise ValueError(f"local_response_norm: k, alpha: got {k}, {alpha}, expected k > 0 and alpha ≥ 0")
    wide = x.astype(accumulation_dtype(x.dtype))
    return (wide * _power(_scale(wide, size, alpha, k), beta)).astype(x.dtype)


@local_response_norm.def_fwd
def local_response_norm_fwd(x, *, size=5, alpha=1e-4, beta=0.75, k=2.0):
    """y and its residual x."""
    return local_response_norm(x, size=size, alpha=alpha, beta=beta, k=k), (x,)


@local_response_norm.def_bwd
def local_response_norm_bwd(residuals, y_bar, *, size=5, alpha=1e-4, beta=0.75, k=2.0):
    """x̄ (N, H, W, C)."""
    x, y_bar_wide = (array.astype(accumulation_dtype(array.dtype)) for array in (*residuals, y_bar))
    s = _scale(x, size, alpha, k)
    direct = y_bar_wide * _power(s, beta)
    through_s = _band_sum(direct * x / s, before=(size - 1) // 2, after=size // 2)
    return (rounded(direct - 2 * alpha * beta * x * through_s, y_bar.dtype),)


def _scale(x, size, alpha, k):
    return k + alpha * _band_sum(x * x, before=size // 2, after=(size - 1) // 2)


def _power(s, beta):
    """s^{−β}. For the paper's β = ¾ by square roots, in a fifth of the time of a logarithm and an exponential."""
    return lax.rsqrt(s) * lax.sqrt(lax.rsqrt(s)) if beta == 0.75 else s**-beta


def _band_sum(x, before, after):
    """Σ of x[..., i − before : i + after + 1] for every channel i; outside there is nothing."""
    channels = x.shape[3]
    padded = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (0, 0, 0), (0, 0, 0), (before, after, 0)))
    return functools.reduce(operator.add, (padded[..., j : j + channels] for j in range(before + after + 1)))
