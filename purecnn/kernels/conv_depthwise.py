"""Depthwise convolutions (one group a channel, any channel multiplier) without a convolution: sums over kernel offsets.

Nothing is summed over channels, and each equation is k² multiplications and additions per entry, elementwise:

    y = Σ_{i, j} x[at (i, j)] w[i, j]
    x̄ = Σ_{i, j} (ȳ, s − 1 zeros between)[at (i, j)] (w flipped)[i, j]
    w̄[i, j] = Σ_{n, o, p} x[at (i, j)] ȳ

where x[at (i, j)] is the input at that kernel offset. XLA fuses y and x̄ into one loop over the input. For w̄ a CPU loops
over output rows and adds each row's products, summed over N, to k² accumulators (Wo, D); elsewhere it is k² reductions
of the same two arrays, for XLA to fuse.

On a CPU forward and backward together take 0.02 to 0.09 of autodiff's time (`experiments/benchmark`, "depthwise").
On a GPU cuDNN's own are faster: of (256, 56, 56, 144) under 3×3, bfloat16 on an H200, y takes 0.21 ms for these sums'
0.51, w̄ 0.25 for 1.37.
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.offsets import read_offsets
from purecnn.ops import accumulation_dtype


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not know this convolution; "" if it does."""
    return "" if dims.groups == dims.in_channels else "one group a channel"


def forward(x, w, dims: ConvDims) -> Array:
    """y (N, Ho, Wo, D)."""
    return _weighted(_repeated(x, dims), w, dims)


def input_cotangent(y_bar, w, dims: ConvDims) -> Array:
    """x̄ (N, H, W, C)."""
    rows, cols = dims.stride
    spread = lax.pad(y_bar, jnp.zeros((), y_bar.dtype), ((0, 0, 0), (0, 0, rows - 1), (0, 0, cols - 1), (0, 0, 0)))
    x_bar = _weighted(spread, lax.rev(w, (0, 1)), dims.transposed(), accumulation_dtype(y_bar.dtype))
    each = x_bar.reshape(*x_bar.shape[:3], dims.in_channels, dims.out_channels // dims.in_channels)
    return each.sum(axis=4).astype(y_bar.dtype)


def weight_cotangent(x, y_bar, dims: ConvDims) -> Array:
    """w̄ (kh, kw, 1, D)."""
    wide = accumulation_dtype(x.dtype)

    def summed(x, y_bar):
        products = (entry.astype(wide) * y_bar.astype(wide) for entry in read_offsets(x, dims))
        return jnp.stack([product.sum(axis=(0, 1, 2)) for product in products])

    def by_rows(x, y_bar):
        x = lax.pad(x, jnp.zeros((), x.dtype), dims.input_pad)

        def add_row(totals, o):
            outputs, new = lax.dynamic_index_in_dim(y_bar, o, 1, keepdims=False).astype(wide), []
            for i in range(dims.size[0]):
                at = dims.stride[0] * o + dims.dilation[0] * i
                row = lax.dynamic_index_in_dim(x, at, 1, keepdims=False).astype(wide)
                for j in range(dims.size[1]):
                    start, limit, stride = (numbers[2] for numbers in dims.offset_slice((i, j), 1, 1))
                    new.append((lax.slice_in_dim(row, start, limit, stride, 1) * outputs).sum(axis=0))
            return [total + n for total, n in zip(totals, new, strict=True)], None

        zeros = [lax.full_like(y_bar, 0, wide, y_bar.shape[2:])] * (dims.size[0] * dims.size[1])
        totals, _ = lax.scan(add_row, zeros, jnp.arange(dims.output[0]))
        return jnp.stack([total.sum(axis=0) for total in totals])

    w_bar = lax.platform_dependent(_repeated(x, dims), y_bar, cpu=by_rows, default=summed)
    return w_bar.reshape(*dims.size, 1, dims.out_channels).astype(x.dtype)


def _weighted(x, w, dims: ConvDims, dtype=None) -> Array:
    """Σ over the kernel offsets of the input there times w there."""
    wide = accumulation_dtype(x.dtype)
    weights = w.astype(wide).reshape(-1, 1, 1, 1, w.shape[2] * w.shape[3])
    terms = (entry.astype(wide) * weight for entry, weight in zip(read_offsets(x, dims), weights, strict=True))
    return functools.reduce(operator.add, terms).astype(dtype or x.dtype)


def _repeated(x, dims: ConvDims) -> Array:
    """x with each channel as often as it has outputs: (N, H, W, D)."""
    multiplier = dims.out_channels // dims.in_channels
    return x if multiplier == 1 else jnp.repeat(x, multiplier, axis=3)
