"""Read what one tap of a window sees, and the two ways back: lay a cotangent where the tap read it, or ask of every
place which taps of which windows read it.

All are written so that XLA fuses them into the loop around them. A strided slice of the padded input reads. `lax.pad`
with stride−1 zeros between the entries, whose negative edges cut off what fell on the padding, lays back. To ask, the
places are put in phases: row s·m + a of the padded input is read by window m − q through the tap i with d·i = a + s·q,
so that with m and a as two axes each q is one shift of the windows, and the output is written once.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Shaped
from purecnn.geometry import Pair, Window

NO_TAP = 255  # windows with more taps than a byte counts number them in 32 bits


def tap_dtype(window: Window):
    """The smallest integers that number the taps of `window`, row by row, and leave one for `NO_TAP`."""
    return jnp.uint8 if window.size[0] * window.size[1] <= NO_TAP else jnp.int32


def no_tap(window: Window) -> int:
    return NO_TAP if tap_dtype(window) == jnp.uint8 else -1


def read_taps(x: Shaped[Array, "n h w c"], window: Window, fill: float = 0) -> Iterator[Shaped[Array, "n ho wo c"]]:
    """What each tap sees, row by row through the window; padding reads as `fill`."""
    x = lax.pad(x, jnp.asarray(fill, x.dtype), window.input_pad)
    return (lax.slice(x, *window.tap_slice(tap, x.shape[0], x.shape[3])) for tap in window.taps())


def read_axis(x: Shaped[Array, "..."], window: Window, axis: int, at: int, along: int) -> Shaped[Array, "..."]:
    """What the taps of a row of the window (`axis` 1) or of a column (0) see of the padded `x`, in which `axis` stands
    `at`, one after the other `along` an axis. One axis, then the other: kh + kw slices to compile, not kh·kw."""

    def seen(i: int):
        start, limit, step = (numbers[1 + axis] for numbers in window.tap_slice((i, i), 1, 1))
        return lax.slice_in_dim(x, start, limit, step, at)

    return jnp.concatenate([seen(i) for i in range(window.size[axis])], along)


def write_tap(cotangent: Shaped[Array, "n ho wo c"], window: Window, tap: Pair) -> Shaped[Array, "n h w c"]:
    """`cotangent` on the places of the input that `tap` read, zero elsewhere."""
    return lax.pad(cotangent, jnp.zeros((), cotangent.dtype), window.tap_pad(tap))


def in_phases(x: Shaped[Array, "n h w c"], window: Window) -> Shaped[Array, "n m a p b c"]:
    """The padded input with row s·m + a at (m, a), and column s·p + b at (p, b)."""
    rows, cols = window.phases(0), window.phases(1)
    edges = [(0, 0, 0)]
    for axis, phases in ((0, rows), (1, cols)):
        low = window.padding[axis][0]
        edges.append((low, phases.length * window.stride[axis] - low - window.input[axis], 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), (*edges, (0, 0, 0)))
    return x.reshape(x.shape[0], rows.length, window.stride[0], cols.length, window.stride[1], x.shape[3])


def sum_over_windows(
    window: Window, term: Callable[..., Array], *arrays: Shaped[Array, "n ho wo c"]
) -> Shaped[Array, "n h w c"]:
    """At every place of the input the sum of term(tap, *what the window has in `arrays`) over the windows around it.

    `term` is called once for each shift of the windows, with arrays to be broadcast against `in_phases`: `tap` says
    through which tap the window at hand reads the place, `no_tap` where it does not. The term must be 0 there, and
    where the arrays are 0, which is what they are where there is no window.
    """
    rows, cols = window.phases(0), window.phases(1)
    edges = [(0, 0, 0)]
    for axis, phases in ((0, rows), (1, cols)):
        edges.append((phases.shifts - 1, phases.length - window.output[axis], 0))
    if any(low or high for low, high, _ in edges):
        # Padded once for all shifts, so that no read has to ask whether it is on an edge.
        padded = [lax.pad(a, jnp.zeros((), a.dtype), (*edges, (0, 0, 0))) for a in arrays]
        arrays = tuple(lax.optimization_barrier(padded))

    def at(q_row: int, q_col: int):
        i = _tap_of_phase(window, 0, q_row)[:, None, None, None]
        j = _tap_of_phase(window, 1, q_col)[None, None, :, None]
        tap = jnp.where((i >= 0) & (j >= 0), i * window.size[1] + j, no_tap(window)).astype(tap_dtype(window))
        row, col = rows.shifts - 1 - q_row, cols.shifts - 1 - q_col
        seen = (a[:, row : row + rows.length, None, col : col + cols.length, None, :] for a in arrays)
        return term(tap[None, None], *seen)

    terms = (at(q_row, q_col) for q_row in range(rows.shifts) for q_col in range(cols.shifts))
    total = functools.reduce(operator.add, terms)
    n, _, _, _, _, channels = total.shape
    flat = total.reshape(n, rows.length * window.stride[0], cols.length * window.stride[1], channels)
    (top, _), (left, _) = window.padding
    return flat[:, top : top + window.input[0], left : left + window.input[1]]


def _tap_of_phase(window: Window, axis: int, q: int) -> Array:
    """The tap i with d·i = a + s·q for every phase a, −1 where there is none. Counted, not looked up: XLA computes a
    count inside its loop and makes nothing of a table (five times slower)."""
    reach = jnp.arange(window.stride[axis], dtype=jnp.int32) + window.stride[axis] * q
    gap = window.dilation[axis]
    return jnp.where((reach % gap == 0) & (reach <= gap * (window.size[axis] - 1)), reach // gap, -1)
