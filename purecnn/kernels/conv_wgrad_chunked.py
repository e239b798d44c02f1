"""w̄ on a CPU as a matrix product over the patches of a few images at a time (lecture row 15's product).

With X the patches of x, one row per output position, w̄ = Xᵀ Ȳ is one matrix product. Two things make it slow: X is
kh·kw times the input and falls out of the cache, and a product that sums over the rows of both operands first
transposes one of them. Here x is transposed, while it is small, and then copied once per kernel offset, along columns
first and then along rows, into

    Xᵀ[(i, j, c), (n, o, p)] = x[n, s·o + δ·i − top, s·p + δ·j − left, c]

whose rows are stretches of x's own. The sum over n is taken a chunk of images at a time, each a product of its own. An
image whose patches alone are too many is taken a strip of rows at a time.

Few output channels leave a product narrow. There two neighbouring outputs, p = 2·P + q, are read as one with 2·D
channels, whose offsets are v = s·q + j of a kernel s columns wider. Each copied entry is multiplied twice as often,
and w̄ is the sum of two stretches of that kernel's:

    V̄[i, v, c, (q, d)] = Σ_{n, o, P} x[n, s·o + δ·i − top, 2·s·P + v − left, c] ȳ[n, o, 2·P + q, d]

    w̄[i, j, c, d] = Σ_q V̄[i, s·q + j, c, (q, d)]

`cifar_cnn`'s layers take 0.3 to 0.6 of the page's time, whose window is the whole image, AlexNet's 0.65 to 0.8; LeNet's
second takes 1.1. By pairs ResNet-20's 16 → 16 channels take 0.63 of it. Kernels from 5×5 on, over few images of 32
channels or more, take 0.9 to 2.7, in the median 1.6, and small images (`experiments/benchmark/small_w_bar.py`) as much:
there the page is taken. Two images of 512×512×64 under 3×3 kernels take 142 MB of temporaries where autodiff takes 269.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array
from purecnn.chunks import chunks_that_fit, sum_chunks
from purecnn.geometry import ConvDims
from purecnn.offsets import read_axis
from purecnn.ops import accumulation_dtype, called

CHUNK_BYTES = 3 << 20  # of patches: what stays in the cache
STRIP_BYTES = 5 << 20  # an image of more is cut: of smaller strips the products are too short
NARROW = 16  # output channels, up to which pairs of outputs fill a product better


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not support this convolution; "" if it does."""
    return "" if isinstance(dims.batch, int) else "a batch whose size is a number"


def weight_cotangent(x, y_bar, dims: ConvDims) -> Array:
    """w̄ (kh, kw, C/groups, D)."""
    if not _by_pairs(dims):
        return _over_chunks(x, y_bar, dims).astype(x.dtype)
    (down, stride), (kh, kw), (height, width), channels = dims.stride, dims.size, dims.output, dims.out_channels
    sizes = {"size": (kh, kw + stride), "stride": (down, 2 * stride), "output": (height, width // 2)}
    paired = dataclasses.replace(dims, **sizes, out_channels=2 * channels)
    wider = _over_chunks(x, y_bar.reshape(-1, *paired.output, 2 * channels), paired)
    return (wider[:, :kw, :, :channels] + wider[:, stride:, :, channels:]).astype(x.dtype)


def _by_pairs(dims: ConvDims) -> bool:
    overlaps = dims.size[1] > dims.stride[1] and dims.dilation[1] == 1
    return overlaps and dims.groups == 1 and dims.out_channels <= NARROW and dims.output[1] % 2 == 0


def _over_chunks(x, y_bar, dims: ConvDims) -> Array:
    """w̄ in the accumulation dtype, a chunk of images at a time."""
    room = dims.batch, _row_bytes(x, dims) * dims.output[0], CHUNK_BYTES
    w_bar = sum_chunks(functools.partial(_of_chunk, dims=dims), chunks_that_fit(*room), x, y_bar)
    in_channels = dims.in_channels // dims.groups
    w_bar = w_bar.reshape(dims.groups, *dims.size, in_channels, -1).transpose(1, 2, 3, 0, 4)
    return w_bar.reshape(*dims.size, in_channels, dims.out_channels)


def _row_bytes(x, dims: ConvDims) -> int:
    """Of the patches of one row of outputs."""
    return math.prod(dims.size) * dims.in_channels * dims.output[1] * x.dtype.itemsize


def _of_chunk(x, y_bar, dims: ConvDims):
    """w̄ of a few images, (g, kh·kw·C/g, D/g), summed over strips of rows where the patches of one are too many."""
    strips = chunks_that_fit(dims.output[0], _row_bytes(x, dims), STRIP_BYTES)
    if strips == 1:
        return _product(x, y_bar, dims)
    height = dims.output[0] // strips
    reads = dims.stride[0] * (height - 1) + dims.dilation[0] * (dims.size[0] - 1) + 1
    x = lax.pad(x, jnp.zeros((), x.dtype), dims.input_pad)
    sizes = {"input": (reads, x.shape[2]), "output": (height, dims.output[1]), "padding": ((0, 0), (0, 0))}
    # A call, so that XLA cuts the rows out before it transposes them: both at once take as long as half the product.
    product = called(functools.partial(_product, dims=dataclasses.replace(dims, **sizes)), "product")

    def add(total, i):
        rows = lax.dynamic_slice_in_dim(x, dims.stride[0] * height * i, reads, 1)
        return total + product(rows, lax.dynamic_slice_in_dim(y_bar, height * i, height, 1)), None

    shape = (dims.groups, math.prod(dims.size) * dims.in_channels // dims.groups, dims.out_channels // dims.groups)
    zeros = lax.full_like(x, 0, accumulation_dtype(x.dtype), shape)
    return lax.scan(add, zeros, jnp.arange(strips))[0]


def _product(x, y_bar, dims: ConvDims):
    """w̄ of a few images or of a strip of each, (g, kh·kw·C/g, D/g) in the accumulation dtype."""
    rows, wide = y_bar.reshape(-1, dims.groups, dims.out_channels // dims.groups), accumulation_dtype(x.dtype)
    return jnp.einsum("gtm,mgd->gtd", _patches(x, dims).astype(wide), rows.astype(wide))


def _patches(x, dims: ConvDims):
    """Xᵀ of each group: (g, kh·kw·C/g, n·Ho·Wo)."""
    x = lax.pad(x, jnp.zeros((), x.dtype), dims.input_pad)
    transposed = x.reshape(*x.shape[:3], dims.groups, x.shape[3] // dims.groups).transpose(3, 4, 0, 1, 2)
    # The barriers keep XLA from merging the two copies.
    columns = lax.optimization_barrier(read_axis(transposed, dims, 1, at=4, along=1))
    rows = read_axis(columns, dims, 0, at=3, along=1)
    return lax.optimization_barrier(rows.reshape(*rows.shape[:2], len(x) * math.prod(dims.output)))
