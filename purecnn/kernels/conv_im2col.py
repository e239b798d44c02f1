"""Convolution through im2col (lecture row 15): each of its three equations as one matrix product.

With X = im2col(x), one row per output position m, of kernel offsets and channels t, c, and W the kernel as a matrix,

    Y[m, d] = Σ_{t, c} X[m, t, c] W[t, c, d]

    W̄[t, c, d] = Σ_m X[m, t, c] Ȳ[m, d]                 the lecture's row(L) · im2col(x)ᵀ

    X̄ = Σ over the offsets in reverse order, im2col(ȳ) W    the lecture's reversed W · im2col(L)

The last is row 12 read as a product: the kernel flipped on both axes over patches of the cotangent, which for stride
s > 1 has s − 1 zeros between its entries. (The other way to X̄ is col2im(Ȳ Wᵀ): the same products in another order.)

The lecture has one image, one channel, and matrices transposed: W a row 1×F², im2col F²×HW. Groups g split the
channels, and every product is taken group by group.

It is never the fastest ("auto" does not choose it) and is here because the lecture derives it. It supports every
convolution.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.offsets import read_patches


def unknown(dims: ConvDims) -> str:
    return ""


def forward(x, w, dims: ConvDims) -> Array:
    """y (N, Ho, Wo, D)."""
    y = jnp.einsum("mtgc,tcgd->mgd", _patches(x, dims), _matrix(w, dims))
    return y.reshape(x.shape[0], *dims.output, dims.out_channels)


def input_cotangent(y_bar, w, dims: ConvDims) -> Array:
    """x̄ (N, H, W, C)."""
    (top, bottom), (left, right) = dims.transposed_padding
    edges = ((0, 0, 0), (top, bottom, dims.stride[0] - 1), (left, right, dims.stride[1] - 1), (0, 0, 0))
    spread = lax.pad(y_bar, jnp.zeros((), y_bar.dtype), edges)
    x_bar = jnp.einsum("mtgd,tcgd->mgc", _patches(spread, dims.transposed(), padded=True), _matrix(w, dims)[::-1])
    return x_bar.reshape(y_bar.shape[0], *dims.input, dims.in_channels)


def weight_cotangent(x, y_bar, dims: ConvDims) -> Array:
    """w̄ (kh, kw, C/groups, D)."""
    rows = y_bar.reshape(-1, dims.groups, dims.out_channels // dims.groups)
    w_bar = jnp.einsum("mtgc,mgd->tcgd", _patches(x, dims), rows)
    return w_bar.reshape(*dims.size, -1, dims.out_channels)


def _patches(x, dims: ConvDims, padded: bool = False):
    """im2col(x) as (output positions, offsets, groups, channels of a group)."""
    x = x if padded else lax.pad(x, jnp.zeros((), x.dtype), dims.input_pad)
    return read_patches(x, dims).reshape(-1, math.prod(dims.size), dims.groups, dims.in_channels // dims.groups)


def _matrix(w, dims: ConvDims):
    """The kernel as (offsets, input channels of a group, groups, output channels of a group)."""
    return w.reshape(math.prod(dims.size), w.shape[2], dims.groups, dims.out_channels // dims.groups)
