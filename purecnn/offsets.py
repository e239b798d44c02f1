"""The input of a window at its kernel offsets, and the two ways back to the input's positions.

All are written so that XLA fuses them into the loop around them. Forward, a strided slice of the padded input. Back,
either each offset's cotangent is padded onto the input's positions (`lax.pad` with stride−1 zeros between the entries,
negative edges cutting off what fell on the padding), or each position gathers from the windows around it. For that the
input is decomposed by residue modulo the stride (polyphase): row s·m + a of the padded input is read by window m − q at
the offset i with d·i = a + s·q, so that with m and a as two axes each q is one shift of the windows, and x̄ is written
once.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Shaped
from purecnn.geometry import Pair, WindowDims

MANY_OFFSETS = 16  # of a window: each costs compile time, and a window along either axis has k and not k²
LONG_WINDOW = 10  # offsets along one axis, above which they are read in a loop: one body to compile, and not k terms
NO_OFFSET = 255  # windows with more offsets than a byte counts number them in 32 bits


def offset_dtype(dims: WindowDims):
    """The smallest integers that number the offsets, row-major, and leave one for `no_offset`, one for `no_winner`."""
    return jnp.uint8 if dims.size[0] * dims.size[1] < NO_OFFSET else jnp.int32


def no_offset(dims: WindowDims) -> int:
    """The number of an entry that a window does not read."""
    return NO_OFFSET if offset_dtype(dims) == jnp.uint8 else -1


def no_winner(dims: WindowDims) -> int:
    """That of a window in which no entry wins: none of an entry, and not `no_offset` either."""
    return no_offset(dims) - 1


def passes(dims: WindowDims) -> tuple[WindowDims, ...]:
    """The windows to reduce over one after the other: this one, or one along each axis where it has many offsets."""
    many = min(dims.size) > 1 and dims.size[0] * dims.size[1] > MANY_OFFSETS
    return dims.separated() if many else (dims,)


def reduced_in_passes(x: Array, dims: WindowDims, reduce: Callable[[Array, WindowDims], Array]) -> list[Array]:
    """x, and what `reduce` leaves of it after each pass."""
    left = [x]
    for window in passes(dims):
        if len(left) > 1:  # or XLA repeats the first pass for every offset of the second
            left[-1] = lax.optimization_barrier(left[-1])
        left.append(reduce(left[-1], window))
    return left


def read_offsets(
    x: Shaped[Array, "n h w c"], dims: WindowDims, fill: float = 0
) -> Iterator[Shaped[Array, "n ho wo c"]]:
    """The input at each kernel offset, row-major; padding reads as `fill`."""
    x = lax.pad(x, jnp.asarray(fill, x.dtype), dims.input_pad)
    return (lax.slice(x, *dims.offset_slice(offset, x.shape[0], x.shape[3])) for offset in dims.offsets())


def is_long(dims: WindowDims) -> bool:
    """Whether the window extends along one axis only and has many offsets there."""
    return min(dims.size) == 1 and max(dims.size) > LONG_WINDOW


def fold_offsets(first: Callable, step: Callable, x: Shaped[Array, "n h w c"], dims: WindowDims, fill: float = 0):
    """step(… step(first(entry at offset 0), 1, entry at offset 1) …), the entries as of `read_offsets`.

    `step` takes what the one before returned, arrays that keep their shapes, an offset's number and the entries there.
    """
    if not is_long(dims):
        start, *entries = read_offsets(x, dims, fill)
        folded = first(start)
        for t, entry in enumerate(entries, start=1):
            folded = step(folded, t, entry)
        return folded
    x, axis = lax.pad(x, jnp.asarray(fill, x.dtype), dims.input_pad), 1 + (dims.size[1] > 1)
    zero, limit, strides = dims.offset_slice((0, 0), x.shape[0], x.shape[3])

    def read(t):
        span = lax.dynamic_slice_in_dim(x, dims.dilation[axis - 1] * t, limit[axis], axis)
        return lax.slice(span, zero, limit, strides)

    return lax.fori_loop(1, max(dims.size), lambda t, folded: step(folded, t, read(t)), first(read(0)))


def read_axis(x: Shaped[Array, "..."], dims: WindowDims, axis: int, at: int, along: int) -> Shaped[Array, "..."]:
    """The padded `x` at the window's offsets in a row (`axis` 1) or a column (0), concatenated `along` an axis.

    `at` is where x has the window's axis. One axis, then the other: kh + kw slices to compile, not kh·kw.
    """

    def read(i: int):
        start, limit, stride = (numbers[1 + axis] for numbers in dims.offset_slice((i, i), 1, 1))
        return lax.slice_in_dim(x, start, limit, stride, at)

    return jnp.concatenate([read(i) for i in range(dims.size[axis])], along)


def read_patches(x: Shaped[Array, "n hp wp c"], dims: WindowDims) -> Shaped[Array, "n ho wo k"]:
    """The patches of the *padded* `x` as rows (kh·kw·C), the channel fastest."""
    return read_axis(read_axis(x, dims, 1, at=2, along=3), dims, 0, at=1, along=3)


def pad_from_offset(cotangent: Shaped[Array, "n ho wo c"], dims: WindowDims, offset: Pair) -> Shaped[Array, "n h w c"]:
    """`cotangent` at the input's positions that `offset` reads, zero elsewhere: the adjoint of reading."""
    return lax.pad(cotangent, jnp.zeros((), cotangent.dtype), dims.offset_pad(offset))


def to_phases(x: Shaped[Array, "n h w c"], dims: WindowDims) -> Shaped[Array, "n m a p b c"]:
    """The padded input with row s·m + a at (m, a), and column s·p + b at (p, b)."""
    rows, cols = dims.polyphase(0), dims.polyphase(1)
    edges = [(0, 0, 0)]
    for axis, parts in ((0, rows), (1, cols)):
        low = dims.padding[axis][0]
        edges.append((low, parts.length * dims.stride[axis] - low - dims.input[axis], 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), (*edges, (0, 0, 0)))
    return x.reshape(x.shape[0], rows.length, dims.stride[0], cols.length, dims.stride[1], x.shape[3])


def sum_over_windows(
    dims: WindowDims, term: Callable[..., Array], *arrays: Shaped[Array, "n ho wo c"]
) -> Shaped[Array, "n h w c"]:
    """At every input position the sum of term(offset, *the window's entries of `arrays`) over the windows around it.

    `term` is called once for each shift of the windows, with arrays that broadcast against `to_phases`: `offset` is the
    one at which the window reads the position, `no_offset` where it does not. The term must be 0 there, and where the
    arrays are 0, as they are where there is no window.
    """
    rows, cols = dims.polyphase(0), dims.polyphase(1)
    edges = [(0, 0, 0)]
    for axis, parts in ((0, rows), (1, cols)):
        edges.append((parts.shifts - 1, parts.length - dims.output[axis], 0))
    if any(low or high for low, high, _ in edges):
        # Padded once for all shifts, so that no read has to ask whether it is on an edge.
        padded = [lax.pad(a, jnp.zeros((), a.dtype), (*edges, (0, 0, 0))) for a in arrays]
        # A GPU asks that at no cost, and saves writing and reading the padded arrays.
        arrays = lax.platform_dependent(*padded, cpu=_materialized, default=lambda *padded: padded)

    def at(q_row, q_col):
        i = _polyphase_offset(dims, 0, q_row)[:, None, None, None]
        j = _polyphase_offset(dims, 1, q_col)[None, None, :, None]
        offset = jnp.where((i >= 0) & (j >= 0), i * dims.size[1] + j, no_offset(dims)).astype(offset_dtype(dims))
        row, col = rows.shifts - 1 - q_row, cols.shifts - 1 - q_col
        rows_of = (_stretch(a, row, rows.length, 1) for a in arrays)
        shifted = (_stretch(a, col, cols.length, 2)[:, :, None, :, None, :] for a in rows_of)
        return term(offset[None, None], *shifted)

    if is_long(dims):

        def add(q, total):
            q = q.astype(jnp.int32)
            return total + (at(q, 0) if cols.shifts == 1 else at(0, q))

        each = jax.eval_shape(functools.partial(at, 0, 0))
        total = lax.fori_loop(
            0, max(rows.shifts, cols.shifts), add, lax.full_like(arrays[0], 0, each.dtype, each.shape)
        )
    else:
        terms = (at(*q) for q in itertools.product(_shifts_read(dims, 0), _shifts_read(dims, 1)))
        total = functools.reduce(operator.add, terms)
    n, _, _, _, _, channels = total.shape
    flat = total.reshape(n, rows.length * dims.stride[0], cols.length * dims.stride[1], channels)
    (top, _), (left, _) = dims.padding
    return flat[:, top : top + dims.input[0], left : left + dims.input[1]]


def _materialized(*arrays):
    return lax.optimization_barrier(arrays)


def _stretch(a, start, length: int, axis: int) -> Array:
    """`length` rows or columns of `a` from `start` on, a number or an index of a loop."""
    if isinstance(start, int):
        return lax.slice_in_dim(a, start, start + length, axis=axis)
    return lax.dynamic_slice_in_dim(a, start, length, axis)


def _shifts_read(dims: WindowDims, axis: int) -> list[int]:
    """The shifts q at which some residue a has an offset i, d·i = a + s·q: of d under stride 1, one in d."""
    stride, dilation = dims.stride[axis], dims.dilation[axis]
    return [q for q in range(dims.polyphase(axis).shifts) if -stride * q % dilation < stride]


def _polyphase_offset(dims: WindowDims, axis: int, q: int | Array) -> Array:
    """The offset i with d·i = a + s·q for every residue a, −1 where there is none. Computed, not looked up: XLA fuses
    an iota into its loop and no table (five times slower)."""
    reach = jnp.arange(dims.stride[axis], dtype=jnp.int32) + dims.stride[axis] * q
    dilation = dims.dilation[axis]
    return jnp.where((reach % dilation == 0) & (reach <= dilation * (dims.size[axis] - 1)), reach // dilation, -1)
