"""Convolution by Winograd's F(m, k) on a CPU, for many channels (Winograd 1980; in networks Lavin and Gray 2015).

One axis first: m outputs of a correlation with k kernel offsets read n = m + k − 1 entries, y[o] = Σ_i d[o + i] g[i].
For fixed g, Σ_o y[o] h[o] = Σ_{o, i} d[o + i] g[i] h[o] pairs d with the coefficients of g(z) h(z), two polynomials
multiplied. The product has n coefficients, so its values at n points fix it. With V_c the n×c matrix whose rows are
1, z, …, z^{c−1} at each point (0, …, 0, 1 at ∞, where a polynomial's value is its leading coefficient),

    coefficients of g·h = V_n⁻¹ [(V_k g) ⊙ (V_m h)]

and, paired with d and read as a function of h,

    y = A [(G g) ⊙ (B d)]        A = V_mᵀ    G = V_k    B = V_n⁻ᵀ        n products where the sum has m·k

On two axes A, G and B act on rows and on columns, as one matrix their Kronecker product. The input is cut into tiles of
n×n entries, m apart, so that they overlap by k − 1. Summed over channels c, ⊙ is a matrix product at each point u of
the transform domain, which is where the work is:

    Y[tile] = A M[·, tile]        M[u, tile, d] = Σ_c (B X)[u, tile, c] (G W)[u, c, d]

A product sends its cotangent to either factor times the other, and a matrix takes it back transposed:

    X̄[tile] = Bᵀ Σ_d (Aᵀ Ȳ)[·, tile, d] (G W)[·, c, d]        W̄ = Gᵀ Σ_tiles (B X)[·, tile, c] (Aᵀ Ȳ)[·, tile, d]

Tiles of x̄ accumulate where they overlap, as the entries there were read by each.

AlexNet's layers but the first take 0.5 to 0.7 of the page's time, at batch 1 as much as it. Rounding: with 3 offsets
coefficients are 0, ±1 and ±1/2, small integers stay exact, and sums of 384 channels err 1.5 times as much as the
page's; with 4 and 5 offsets 7 times: 2e-6 of y's standard deviation. An infinite or NaN entry makes NaN of all outputs
of its tiles, where the page makes NaN of those whose window it is in.
"""

from __future__ import annotations

import jax.numpy as jnp

from purecnn.annotations import Array
from purecnn.chunks import chunks_that_fit, map_chunks, sum_chunks
from purecnn.geometry import ConvDims
from purecnn.ops import accumulation_dtype
from purecnn.tiles import accumulate_overlaps, cut, image_bytes, matrices, side_by_side, step, tile, tiles

LONGEST = 5  # kernel offsets on an axis
CHUNK_BYTES = 12 << 20  # in the transform domain: what stays in the cache


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not support this convolution; "" if it does."""
    known = dims.stride == dims.dilation == (1, 1) and max(dims.size) <= LONGEST and dims.groups == 1
    expected = f"stride and dilation 1, 1 group, kernels to {LONGEST}×{LONGEST}, a batch whose size is a number"
    return "" if known and isinstance(dims.batch, int) else expected


def forward(x, w, dims: ConvDims) -> Array:
    """y (N, Ho, Wo, D)."""
    a, g, b = matrices(dims, accumulation_dtype(x.dtype))
    kernel = _transformed_kernel(g, w)

    def outputs_of(x):
        product = jnp.einsum("umc,ucd->umd", _transformed_input(b, x, dims), kernel)
        y = jnp.einsum("vu,umd->vmd", a, product).reshape(*step(dims), len(x), *tiles(dims), dims.out_channels)
        return (side_by_side(y)[:, : dims.output[0], : dims.output[1]].astype(x.dtype),)

    return map_chunks(outputs_of, _chunks(dims), x)[0]


def input_cotangent(y_bar, w, dims: ConvDims) -> Array:
    """x̄ (N, H, W, C)."""
    a, g, b = matrices(dims, accumulation_dtype(y_bar.dtype))
    kernel, ((top, _), (left, _)) = _transformed_kernel(g, w), dims.padding

    def inputs_of(y_bar):
        product = jnp.einsum("umd,ucd->umc", _transformed_cotangent(a, y_bar, dims), kernel)
        entries = jnp.einsum("ut,umc->tmc", b, product)
        entries = entries.reshape(*tile(dims), len(y_bar), *tiles(dims), dims.in_channels)
        for axis in (0, 1):
            entries = accumulate_overlaps(entries, axis, step(dims)[axis])
        x_bar = side_by_side(entries)[:, top : top + dims.input[0], left : left + dims.input[1]]
        return (x_bar.astype(y_bar.dtype),)

    return map_chunks(inputs_of, _chunks(dims), y_bar)[0]


def weight_cotangent(x, y_bar, dims: ConvDims) -> Array:
    """w̄ (kh, kw, C, D)."""
    a, g, b = matrices(dims, accumulation_dtype(x.dtype))

    def products_of(x, y_bar):
        return jnp.einsum("umc,umd->ucd", _transformed_input(b, x, dims), _transformed_cotangent(a, y_bar, dims))

    w_bar = jnp.einsum("ut,ucd->tcd", g, sum_chunks(products_of, _chunks(dims), x, y_bar))
    return w_bar.reshape(*dims.size, dims.in_channels, dims.out_channels).astype(x.dtype)


def _chunks(dims: ConvDims) -> int:
    return chunks_that_fit(dims.batch, image_bytes(dims), CHUNK_BYTES)


def _transformed_kernel(g, w):
    """G W: (n², C, D)."""
    return jnp.einsum("ut,tcd->ucd", g, w.astype(g.dtype).reshape(-1, *w.shape[2:]))


def _transformed_input(b, x, dims: ConvDims):
    """B X: (n², tiles, C)."""
    before = (dims.padding[0][0], dims.padding[1][0])
    return jnp.einsum("ut,tmc->umc", b, cut(x.astype(b.dtype), tile(dims), before, dims))


def _transformed_cotangent(a, y_bar, dims: ConvDims):
    """Aᵀ Ȳ: (n², tiles, D)."""
    return jnp.einsum("vu,vmd->umd", a, cut(y_bar.astype(a.dtype), step(dims), (0, 0), dims))
