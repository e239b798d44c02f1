"""Depthwise convolutions (one group per channel, any channel multiplier) as sums over kernel offsets.

Nothing is summed over channels, and each equation is k² multiplications and additions per entry, elementwise:

    y = Σ_{i, j} x[at (i, j)] w[i, j]
    x̄ = Σ_{o, p} ȳ[o, p] w[i, j]        of each entry's windows (o, p), which read it at the offsets (i, j)
    w̄[i, j] = Σ_{n, o, p} x[at (i, j)] ȳ

where x[at (i, j)] is the input at that kernel offset. XLA fuses y into one loop, and so x̄, for which each position
gathers from the windows around it (polyphase, `purecnn.offsets`). For w̄ a CPU takes one kernel row after the other,
loops over output rows of a few images and adds their products to k accumulators, (Wo, D) less the columns that read
padding: x is read where it lies, not from a padded copy. Elsewhere w̄ is k² reductions of the same two arrays, for XLA
to fuse.

On a CPU forward and backward together take 0.01 to 0.07 of autodiff's time (`experiments/benchmark`, "depthwise").
On a GPU cuDNN's own are faster: for (256, 56, 56, 144) under 3×3, bfloat16 on an H200, cuDNN's y takes 0.21 ms and
these sums 0.51, w̄ 0.25 and 1.37.
"""

from __future__ import annotations

import functools
import math
import operator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.offsets import no_offset, read_offsets, sum_over_windows
from purecnn.ops import accumulation_dtype

# Images whose rows w̄ adds at a time: more rows at equal distances in memory evict one another from the cache.
IMAGES = range(8, 3, -1)


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
        (height, _), rows = dims.input, dims.output[0]
        chunks = next((dims.batch // n for n in IMAGES if dims.batch and dims.batch % n == 0), 1)
        # Image i·chunks + j is the j-th in the i-th tall image: as in `purecnn.chunks`, none moves between devices.
        x, y_bar = (a.reshape(dims.batch // chunks, chunks * a.shape[1], *a.shape[2:]) for a in (x, y_bar))
        columns = [dims.inside(1, j) for j in range(dims.size[1])]

        def row_of(a, at):
            return lax.dynamic_index_in_dim(a, at, 1, keepdims=False).astype(wide)

        def of_kernel_row(i):
            def add_row(totals, t):
                chunk, o = t // rows, t % rows
                at = dims.stride[0] * o + dims.dilation[0] * i - dims.padding[0][0]
                inside, row = (at >= 0) & (at < height), row_of(x, chunk * height + jnp.clip(at, 0, height - 1))
                outputs = row_of(y_bar, t)
                new = (jnp.where(inside, (row[:, read] * outputs[:, by]).sum(axis=0), 0) for read, by in columns)
                return [total + n for total, n in zip(totals, new, strict=True)], None

            shapes = [(by.stop - by.start, dims.out_channels) for _, by in columns]
            zeros = [lax.full_like(y_bar, 0, wide, shape) for shape in shapes]
            totals, _ = lax.scan(add_row, zeros, jnp.arange(chunks * rows))
            return jnp.stack([total.sum(axis=0) for total in totals])

        return lax.map(of_kernel_row, jnp.arange(dims.size[0])).reshape(math.prod(dims.size), dims.out_channels)

    w_bar = lax.platform_dependent(_repeated(x, dims), y_bar, cpu=by_rows, default=summed)
    return w_bar.reshape(*dims.size, 1, dims.out_channels).astype(x.dtype)


def _repeated(x, dims: ConvDims) -> Array:
    """x with each channel as often as it has outputs: (N, H, W, D)."""
    multiplier = dims.out_channels // dims.in_channels
    return x if multiplier == 1 else jnp.repeat(x, multiplier, axis=3)
