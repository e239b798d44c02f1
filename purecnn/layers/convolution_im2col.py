"""Convolution through im2col (lecture row 15): each of its three equations as one matrix product.

With X = im2col(x), one row of taps and channels t, c per place m, and W the kernel as a matrix,

    Y[m, d] = Σ_{t, c} X[m, t, c] W[t, c, d]

    W̄[t, c, d] = Σ_m X[m, t, c] Ȳ[m, d]                 the lecture's row(L) · im2col(x)ᵀ

    X̄ = Σ over the taps in reverse order, im2col(ȳ) W    the lecture's reversed W · im2col(L)

The last is row 12 read as a product: the kernel turned by 180° over patches of the cotangent, which for stride s > 1
has s − 1 zeros between its entries. (The other way to X̄ is col2im(Ȳ Wᵀ); it adds the same products in another order.)

The lecture has one image, one channel, and matrices standing the other way: W a row 1×F², im2col F²×HW. Groups g split
the channels, and every product above is taken group by group.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.geometry import Window
from purecnn.layers.patches import im2col
from purecnn.layers.products import einsum


def forward(x: Float[Array, "n h w c"], w: Float[Array, "kh kw cg d"], places: Window, groups: int):
    """y (N, Ho, Wo, D), in the dtype sums are formed in."""
    y = einsum("mtgc,tcgd->mgd", _patches(x, places, groups), _matrix(w, groups))
    return y.reshape(x.shape[0], *places.output, w.shape[3])


def input_cotangent(y_bar: Float[Array, "n ho wo d"], w: Float[Array, "kh kw cg d"], places: Window, groups: int):
    """x̄ (N, H, W, C), in the dtype sums are formed in."""
    (top, bottom), (left, right) = places.transposed_padding
    edges = ((0, 0, 0), (top, bottom, places.stride[0] - 1), (left, right, places.stride[1] - 1), (0, 0, 0))
    spread = lax.pad(y_bar, jnp.zeros((), y_bar.dtype), edges)
    patches = im2col(spread, places.size, dilation=places.dilation)
    rows = patches.reshape(-1, places.size[0] * places.size[1], groups, w.shape[3] // groups)
    x_bar = einsum("mtgd,tcgd->mgc", rows, _matrix(w, groups)[::-1])
    return x_bar.reshape(y_bar.shape[0], *places.input, w.shape[2] * groups)


def weight_cotangent(
    x: Float[Array, "n h w c"], y_bar: Float[Array, "n ho wo d"], places: Window, groups: int
) -> Float[Array, "kh kw cg d"]:
    """w̄ (kh, kw, C/groups, D), in the dtype sums are formed in."""
    rows = y_bar.reshape(-1, groups, y_bar.shape[3] // groups)
    w_bar = einsum("mtgc,mgd->tcgd", _patches(x, places, groups), rows)
    return w_bar.reshape(*places.size, x.shape[3] // groups, y_bar.shape[3])


def _patches(x, places, groups):
    """im2col(x) as (places, taps, groups, channels of a group)."""
    options = {"stride": places.stride, "padding": places.padding, "dilation": places.dilation}
    cols = im2col(x, places.size, **options)
    return cols.reshape(-1, places.size[0] * places.size[1], groups, x.shape[3] // groups)


def _matrix(w, groups):
    """The kernel as (taps, channels of a group, groups, outputs of a group)."""
    return w.reshape(w.shape[0] * w.shape[1], w.shape[2], groups, w.shape[3] // groups)
