"""Depthwise convolutions (one group per channel, any channel multiplier) as sums over kernel offsets.

Nothing is summed over channels, and each equation is k² multiplications and additions per entry, elementwise:

    y = Σ_{i, j} x[at (i, j)] w[i, j]
    x̄ = Σ_{o, p} ȳ[o, p] w[i, j]        of each entry's windows (o, p), which read it at the offsets (i, j)
    w̄[i, j] = Σ_{n, o, p} x[at (i, j)] ȳ

where x[at (i, j)] is the input at that kernel offset. XLA fuses y into one loop, and so x̄, for which each position
gathers from the windows around it (polyphase, `purecnn.offsets`). For w̄ a CPU loops over output rows of a few images
and adds their products to k² accumulators (Wo, D); elsewhere it is k² reductions of the same two arrays, for XLA to
fuse.

On a CPU forward and backward together take 0.02 to 0.07 of autodiff's time (`experiments/benchmark`, "depthwise").
On a GPU cuDNN's own are faster: for (256, 56, 56, 144) under 3×3, bfloat16 on an H200, cuDNN's y takes 0.21 ms and
these sums 0.51, w̄ 0.25 and 1.37.
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.offsets import no_offset, read_offsets, sum_over_windows
from purecnn.ops import accumulation_dtype

# Images whose rows w̄ adds at a time: more rows at equal distances in memory evict one another from the cache.
IMAGES = range(16, 3, -1)


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not support this convolution; "" if it does."""
    return "" if dims.groups == dims.in_channels else "one group per channel"


def forward(x, w, dims: ConvDims) -> Array:
    """y (N, Ho, Wo, D)."""
    wide = accumulation_dtype(x.dtype)
    weights = w.astype(wide).reshape(-1, 1, 1, 1, dims.out_channels)
    entries = read_offsets(_repeated(x, dims), dims)
    terms = (entry.astype(wide) * weight for entry, weight in zip(entries, weights, strict=True))
    return functools.reduce(operator.add, terms).astype(x.dtype)


def input_cotangent(y_bar, w, dims: ConvDims) -> Array:
    """x̄ (N, H, W, C)."""
    wide = accumulation_dtype(y_bar.dtype)
    weights = w.astype(wide).reshape(-1, dims.out_channels)

    def term(offset, y_bar):
        t = offset[..., 0]
        weight = jnp.where(offset == no_offset(dims), 0, weights[jnp.where(t == no_offset(dims), 0, t)])
        return y_bar.astype(wide) * lax.optimization_barrier(weight)  # looked up once, not at every position

    x_bar = sum_over_windows(dims, term, y_bar)
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
        height = x.shape[1]
        chunks = next((dims.batch // n for n in IMAGES if dims.batch and dims.batch % n == 0), 1)
        # Image i·chunks + j is the j-th in the i-th tall image: as in `purecnn.chunks`, none moves between devices.
        x, y_bar = (a.reshape(dims.batch // chunks, chunks * a.shape[1], *a.shape[2:]) for a in (x, y_bar))

        def row_of(a, at):
            return lax.dynamic_index_in_dim(a, at, 1, keepdims=False).astype(wide)

        def add_row(totals, t):
            chunk, o = t // dims.output[0], t % dims.output[0]
            outputs, new = row_of(y_bar, t), []
            for i in range(dims.size[0]):
                row = row_of(x, chunk * height + dims.stride[0] * o + dims.dilation[0] * i)
                for j in range(dims.size[1]):
                    start, limit, stride = (numbers[2] for numbers in dims.offset_slice((i, j), 1, 1))
                    new.append((lax.slice_in_dim(row, start, limit, stride, 1) * outputs).sum(axis=0))
            return [total + n for total, n in zip(totals, new, strict=True)], None

        zeros = [lax.full_like(y_bar, 0, wide, y_bar.shape[2:])] * (dims.size[0] * dims.size[1])
        totals, _ = lax.scan(add_row, zeros, jnp.arange(y_bar.shape[1]))
        return jnp.stack([total.sum(axis=0) for total in totals])

    w_bar = lax.platform_dependent(_repeated(x, dims), y_bar, cpu=by_rows, default=summed)
    return w_bar.reshape(*dims.size, 1, dims.out_channels).astype(x.dtype)


def _repeated(x, dims: ConvDims) -> Array:
    """x with each channel as often as it has outputs: (N, H, W, D)."""
    multiplier = dims.out_channels // dims.in_channels
    return x if multiplier == 1 else jnp.repeat(x, multiplier, axis=3)
