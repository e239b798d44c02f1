"""Convolution on a CPU with a large kernel and few output positions: products that read the kernel in memory order.

With X the patches of x, one row per output position m, W the kernel as a matrix, and col2im the adjoint of taking
patches,

    Y[m, d] = Σ_{t, c} X[m, t, c] W[t, c, d]          x̄ = col2im(X̄)          X̄[m, t, c] = Σ_d Ȳ[m, d] W[t, c, d]

XLA:CPU's convolution packs the kernel first, and for x̄ transposes and flips it, which for 512
channels (strides of a power of two) takes longer than the products. Here both read it once, in order. X and X̄ are
smaller than the kernel where positions are fewer than its output (input) channels, and for 1×1 kernels X̄ is x̄.

The last stages of ResNets. 8 images of 3×3 under 3×3 kernels, 512 → 512: y takes 0.64 of the page's time, x̄ 0.20;
6×6, 256 → 512, stride 2: y 0.78, x̄ 0.26; one image of 7×7, 512 → 512: 0.46 and 0.17. 1×1 kernels: x̄ 0.4 to 0.97.
(`python -m experiments.benchmark.kernels --only resnet18`.) With more positions than channels the page is faster for y,
with twice as many for x̄ too.
"""

from __future__ import annotations

import functools
import math
import operator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.offsets import pad_from_offset, read_patches
from purecnn.ops import accumulation_dtype


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not support this convolution; "" if it does."""
    return "" if dims.groups == 1 else "1 group"


def forward(x, w, dims: ConvDims) -> Array:
    """y (N, Ho, Wo, D)."""
    wide = accumulation_dtype(x.dtype)
    patches = read_patches(lax.pad(x, jnp.zeros((), x.dtype), dims.input_pad), dims)
    # Materialised, or XLA reads x again for every column of the product.
    rows = lax.optimization_barrier(patches).reshape(-1, patches.shape[3])
    y = rows.astype(wide) @ w.reshape(-1, dims.out_channels).astype(wide)
    return y.reshape(x.shape[0], *dims.output, dims.out_channels).astype(x.dtype)


def input_cotangent(y_bar, w, dims: ConvDims) -> Array:
    """x̄ (N, H, W, C)."""
    wide = accumulation_dtype(y_bar.dtype)
    rows, matrix = y_bar.reshape(-1, dims.out_channels), w.reshape(-1, dims.out_channels)
    patches = jnp.einsum("md,kd->mk", rows.astype(wide), matrix.astype(wide))
    patches = patches.reshape(*y_bar.shape[:3], math.prod(dims.size), dims.in_channels)
    terms = (pad_from_offset(patches[:, :, :, t], dims, offset) for t, offset in enumerate(dims.offsets()))
    return functools.reduce(operator.add, terms).astype(y_bar.dtype)
