"""Convolution, matrix products and sums as XLA has them, working around XLA's known faults and slow forms.

Dtypes. A convolution or product of 16-bit arrays has a 16-bit result: XLA accumulates in float32 on every platform and
rounds once, at the end. Asked for a float32 result, a GPU widens both operands and runs a float32 convolution (TF32),
at a half to a quarter of the speed; cuDNN has none from 16 to 32 bits. Our own sums run in `accumulation_dtype`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from purecnn.annotations import Array
from purecnn.geometry import Pair

NHWC, HWIO = "NHWC", "HWIO"
FEW_ROWS, LARGE_MATRIX = 64, 1 << 20  # rows of a, entries of b
ROWS, POSITIONS = 4, 8  # added in one pass over the accumulator
SMALL_IMAGE = 64  # positions


def accumulation_dtype(dtype: Any) -> jnp.dtype:
    """float32 for 16-bit floats, otherwise the dtype itself."""
    return jnp.dtype(jnp.float32) if jnp.dtype(dtype).itemsize < 4 else jnp.dtype(dtype)


def rounded(x: Array, dtype: Any) -> Array:
    """`x` in `dtype`, and so for all that read it: XLA drops a rounding to 16 bits that is undone again. On a GPU, x̄ of
    GELU, which the convolution reads narrow and the sum to its b̄ wide, was written in float32 and rounded by a pass of
    its own. A choice behind the rounding prevents that, and stays within the operation that rounds."""
    narrow, nan = x.astype(dtype), jnp.full((), jnp.nan, dtype)
    if narrow.dtype == x.dtype:
        return narrow
    return lax.platform_dependent(narrow, cpu=lambda a: a, default=lambda a: jnp.where(a == a, a, nan))


def called(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`function` as a computation that XLA calls: what goes in and comes out is an array in memory, computed once.

    XLA:CPU inlines every call otherwise, and then fuses a sum over kernel offsets into each operation that reads it,
    where it is computed anew: y of a depthwise layer ten times in a step of a ConvNeXt, one of them in the order of a
    transposition. (An `optimization_barrier` does not help: XLA:CPU removes it before it fuses.)
    """

    def inside(*arrays):
        with set_xla_metadata(inlineable="true"), jax.named_scope(name):  # the calls within it
            return function(*arrays)

    inside.__name__ = name  # in profiles, where only what is inlined has the caller's names
    return set_xla_metadata(inlineable="false")(jax.jit(inside))


def convolution(
    x: Array,
    w: Array,
    *,
    dimension_numbers: tuple[str, str, str] = (NHWC, HWIO, NHWC),
    stride: Pair = (1, 1),
    padding: tuple[Pair, Pair],
    x_dilation: Pair = (1, 1),
    w_dilation: Pair = (1, 1),
    feature_groups: int = 1,
    batch_groups: int = 1,
) -> Array:
    """`lax.conv_general_dilated` in the dtype of `x`, where its result is right and it is not slow.

    x_dilation − 1 zeros are put between the entries of x, and likewise of w. `batch_groups` are for one device alone:
    where a batch is sharded along one axis of a mesh and replicated along another, XLA adds their sums once too often
    (JAX 0.10.1 to 0.12.0.1), and w̄ of grouped convolutions by autodiff comes out doubled.
    """
    options: dict[str, Any] = {
        "window_strides": stride,
        "padding": padding,
        "rhs_dilation": w_dilation,
        "feature_group_count": feature_groups,
        "batch_group_count": batch_groups,
    }
    if _would_abort(x, w, dimension_numbers, padding, x_dilation, w_dilation):
        none, (rows, cols) = (0, 0, 0), x_dilation
        x = lax.pad(x, jnp.zeros((), x.dtype), (none, (0, 0, rows - 1), (0, 0, cols - 1), none))
        x, x_dilation = lax.optimization_barrier(x), (1, 1)  # the barrier keeps XLA from undoing that

    def conv(x, w, numbers=dimension_numbers):
        return lax.conv_general_dilated(x, w, lhs_dilation=x_dilation, dimension_numbers=numbers, **options)

    def transposed(x, w):
        """XLA:CPU has a fast convolution for these axes alone, and rewrites others to it in a program's main
        computation only: inside `lax.scan` they are ten to a hundred times slower."""
        for_x, for_w, for_y = dimension_numbers
        x, w = x.transpose([for_x.index(axis) for axis in NHWC]), w.transpose([for_w.index(axis) for axis in HWIO])
        return conv(x, w, (NHWC, HWIO, NHWC)).transpose([NHWC.index(axis) for axis in for_y])

    def materialized(x, w):
        """cuDNN has w̄ as O H W I, and XLA would transpose the weights of an optimiser's update to that and back: 0.46
        ms on an H200 for 3×3 of 512 to 512 channels, which move 42 MB."""
        return lax.optimization_barrier(conv(x, w))

    if dimension_numbers == (NHWC, HWIO, NHWC):
        return conv(x, w)
    default = materialized if dimension_numbers == ("CHWN", "IHWO", "HWNC") else conv
    return lax.platform_dependent(x, w, cpu=transposed, default=default)


def swap_groups(w: Array, groups: int) -> Array:
    """A kernel (kh, kw, C/groups, D) as (kh, kw, C, D/groups): XLA has the groups on the channels that come out."""
    if groups == 1:
        return w
    parts = w.reshape(*w.shape[:3], groups, w.shape[3] // groups).transpose(0, 1, 3, 2, 4)
    return parts.reshape(*w.shape[:2], groups * w.shape[2], w.shape[3] // groups)


def matmul(a: Array, b: Array) -> Array:
    """a b, in the dtype of `a`; of 16 bits accumulated in float32 and rounded once.

    XLA:CPU widens 16-bit factors by itself, but from JAX 0.11 on not those of a product that `vmap` has made of several
    with one factor in common: it accumulates them in bfloat16, and w̄ of 128 samples was off by a tenth. There it is
    handed wide ones. (Asked for a wide result instead, it refuses such a product.)
    """
    wide = accumulation_dtype(a.dtype)
    if wide == a.dtype:
        return a @ b
    return lax.platform_dependent(
        a, b, cpu=lambda a, b: (a.astype(wide) @ b.astype(wide)).astype(a.dtype), default=lambda a, b: a @ b
    )


def matmul_transposed(a: Array, b: Array) -> Array:
    """a bᵀ of matrices, in the dtype of `a`.

    With few rows of a and a large b, XLA:CPU transposes b in memory first, which takes longer than the product: 24 ms
    where (b aᵀ)ᵀ, the same sums with b in its memory layout, takes 7 (16 × 4096 times 4096 × 9216). The barrier keeps
    XLA from undoing that.
    """
    if not isinstance(a.shape[0], int) or a.shape[0] > FEW_ROWS or b.size < LARGE_MATRIX:
        return matmul(a, b.T)
    return lax.platform_dependent(
        a, b, cpu=lambda a, b: lax.optimization_barrier(matmul(b, a.T)).T, default=lambda a, b: a @ b.T
    )


def sums_to_channels(terms: Callable[..., tuple[Array, ...]], *arrays: Array, per_sample: bool = False) -> list[Array]:
    """Σ over every axis but the last of each of `terms(*arrays)`, (C,) in the accumulation dtype, with one read.

    With `per_sample` the first axis is not summed: (N, C). `terms` is elementwise, of arrays of one rank, the first of
    them of the full shape; an axis of 1 in the others broadcasts. XLA:CPU adds over the leading axes at an eighth to a
    half of the memory's speed: there the rows of all images, (N, W, C), are added to an accumulator that stays in the
    cache, several in one pass over it. The batch is no axis of that loop, so that where it is sharded no device needs
    another's images. Of images of up to 8×8 single positions, (N, C), are added: batch norm of 64 images of 7×7×512,
    forward and backward, in 0.8 of the time.
    """
    shape, wide = arrays[0].shape, accumulation_dtype(arrays[0].dtype)

    def widened(*arrays):
        return [term.astype(wide) for term in terms(*arrays)]

    def direct(*arrays):
        return [summed(term) for term in widened(*arrays)]

    def summed(term):
        return term.sum(axis=tuple(range(per_sample, term.ndim - 1)))

    def row_on_row(at_once, *arrays):
        def row(a, h):
            return a[:, 0] if a.shape[1] == 1 else lax.dynamic_index_in_dim(a, h, 1, keepdims=False)

        def add(totals, h):
            new = widened(*(row(a, h) for a in arrays))
            return [total + more for total, more in zip(totals, new, strict=True)], None

        # The first rows are where the totals start: zeros XLA makes for all layers when a program starts.
        rows = arrays[0].shape[1]
        if at_once < rows <= 2 * at_once:
            at_once //= 2  # a loop of a single step XLA unrolls, and what it fuses then takes two to four times as long
        first = (rows - 1) % at_once + 1
        totals = widened(*(row(a, 0) for a in arrays))
        for h in range(1, first):
            totals, _ = add(totals, h)
        if first < rows:  # jax.disable_jit refuses a scan over nothing
            totals, _ = lax.scan(add, totals, jnp.arange(first, rows), unroll=at_once)
        return [summed(total) for total in totals]

    def positions(a):
        """(N, H, W, C) as (N, H·W, C), and so an array that broadcasts."""
        if any(size != 1 for size in a.shape[1:-1]):
            a = jnp.broadcast_to(a, (a.shape[0], *shape[1:-1], a.shape[-1]))
        return a.reshape(a.shape[0], math.prod(a.shape[1:-1]), a.shape[-1])

    def on_cpu(*arrays):
        if len(shape) == 4 and isinstance(shape[2], int) and 0 < shape[1] * shape[2] <= SMALL_IMAGE:
            return row_on_row(POSITIONS, *map(positions, arrays))
        return row_on_row(ROWS, *arrays)

    if len(shape) < 3 or not isinstance(shape[1], int) or shape[1] == 0:
        return direct(*arrays)
    return lax.platform_dependent(*arrays, cpu=on_cpu, default=direct)


def sum_to_channels(x: Array) -> Array:
    """Σ over every axis but the last of x (…, C), in the accumulation dtype."""
    return sums_to_channels(lambda x: (x,), x)[0]


def mean_of_channels(x: Array, weights: Array | None = None) -> Array:
    """The mean along the last axis of x (…, C), or of x · weights (C,), as (…, 1), in the accumulation dtype.

    XLA:CPU adds along the last axis one number after the other. A product with a column of weights/C runs at the
    memory's speed, and x · weights is never in memory: layer norm of (8, 56, 56, 96), forward and backward, in half
    the time.
    """
    wide = accumulation_dtype(x.dtype)
    weights = jnp.ones(x.shape[-1], wide) if weights is None else weights.astype(wide)

    def direct(x, weights):
        return (x.astype(wide) * per_channel(weights, x)).mean(axis=-1, keepdims=True)

    def product(x, weights):
        column = (weights / x.shape[-1])[:, None]
        return jnp.matmul(x.astype(wide), column, precision=lax.Precision.HIGHEST)

    return lax.platform_dependent(x, weights, cpu=product, default=direct)


def per_channel(channels: Array, x: Array) -> Array:
    """(C,) as (1, …, 1, C), which broadcasts against x (…, C)."""
    return channels.reshape((1,) * (len(x.shape) - 1) + channels.shape)


def _would_abort(x, w, dimension_numbers, padding, x_dilation, w_dilation) -> bool:
    """Whether XLA (0.10.1) aborts the process on this convolution, as it may on autodiff's x̄ of the same layer.

    XLA's simplifier swaps kernel and image if the kernel is larger. It mistakes an axis on which the kernel's size and
    x_dilation are both 2 and nothing is padded for an axis of groups: it leaves that axis out of the comparison and
    out of the swap.
    """
    if dimension_numbers[0] != NHWC:
        return False
    kernel, image, mistaken = 1, 1, False
    for k, size, dilated, gaps, edges in zip(w.shape, x.shape[1:3], x_dilation, w_dilation, padding, strict=False):
        plain = gaps == 1 and edges == (0, 0)
        group = plain and k == dilated == 2
        mistaken |= group
        if not group and not (plain and k == size and dilated == 1):
            kernel, image = kernel * k, image * size
    return mistaken and kernel > image
