"""Max pooling (lecture row 10).

    y[n, o, p, c] = max over kernel offsets (i, j) of x[n, s·o + d·i − top, s·p + d·j − left, c]

An output moves with the entry that won its window and with no other, so each ȳ goes to its winner. Where windows
overlap, an entry may win several and its cotangents add up:

    x̄[entry] = Σ over the windows it won of ȳ[window]

Where several entries of a window tie for the maximum, the maximum has a kink. Any weights on the tied entries that sum
to one are a subgradient; which are used is a convention, `ties`:

    "first"   all of ȳ to the first winner, row by row through the window (as XLA's own pooling does)
    "last"    all of ȳ to the last
    "split"   each of m winners gets ȳ / m
    "all"     each winner gets the whole ȳ (the slope upwards of each alone; their sum is no subgradient)
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_choice, require_floats, require_rank
from purecnn.chunks import materialize_in_halves
from purecnn.geometry import Padding, Size2d, WindowDims, window_dims
from purecnn.offsets import no_offset, offset_dtype, read_offsets, sum_over_windows, to_phases
from purecnn.ops import accumulation_dtype
from purecnn.rules import rule, shape_carrier

TIES = ("first", "last", "split", "all")


@rule
def max_pool2d(
    x: Float[Array, "n h w c"],
    *,
    window: Size2d = 2,
    stride: Size2d | None = None,
    padding: Padding = "VALID",
    dilation: Size2d = 1,
    ties: str = "first",
) -> Float[Array, "n ho wo c"]:
    """The largest entry under each window: x (N, H, W, C) -> (N, Ho, Wo, C), of the dtype of `x`.

    `stride` None means the window's own size. Padding reads as −inf: it wins against nothing but an entry that is −inf
    itself, with which it ties. A NaN under a window gives NaN. Residuals: for `ties` "first" and
    "last" the winner's offset in the window, one byte an output; for "split" and "all" x and y. Raises ValueError or
    TypeError for a wrong rank, a dtype that is not floating, a window that does not fit, or another word for `ties`.
    """
    return _pool(x, window, stride, padding, dilation, ties)[0]


@max_pool2d.def_fwd
def max_pool2d_fwd(x, *, window=2, stride=None, padding="VALID", dilation=1, ties="first"):
    """y and its residuals: (the winner's offset, the shape of x), or (x, y). Shares the loop over the offsets."""

    def pool(x):
        return _pool(x, window, stride, padding, dilation, ties)

    y, winner = lax.platform_dependent(x, cpu=functools.partial(_materialized, pool), default=pool)
    return y, (winner, shape_carrier(x)) if ties in ("first", "last") else (x, y)


@max_pool2d.def_bwd
def max_pool2d_bwd(residuals, y_bar, *, window=2, stride=None, padding="VALID", dilation=1, ties="first"):
    """x̄ (N, H, W, C)."""
    wide = y_bar.astype(accumulation_dtype(y_bar.dtype))
    if ties in ("first", "last"):
        kept, carrier = residuals
        dims = _dims(carrier.shape, window, stride, padding, dilation)
        won = operator.eq  # the winner's offset is the one at which the window reads this position
    else:
        x, kept = residuals
        dims = _dims(x.shape, window, stride, padding, dilation)
        won = functools.partial(_is_maximum, to_phases(x, dims), no_offset(dims))
        if ties == "split":
            winners = ((entry == kept).astype(wide.dtype) for entry in read_offsets(x, dims, -jnp.inf))
            wide = wide / functools.reduce(operator.add, winners)
    zero = jnp.zeros((), wide.dtype)
    x_bar = sum_over_windows(dims, lambda offset, kept, wide: jnp.where(won(offset, kept), wide, zero), kept, wide)
    return (x_bar.astype(y_bar.dtype),)


def _is_maximum(entries, none, offset, y):
    return (entries == y) & (offset != none)


def _pool(x, window, stride, padding, dilation, ties):
    """The maximum, and the offset at which it is: the first or, for ties="last", the last."""
    require_floats("max_pool2d", x=x)
    require_rank("max_pool2d", "N H W C", x=x)
    require_choice("max_pool2d", "ties", ties, TIES)
    dims = _dims(x.shape, window, stride, padding, dilation)
    entries = list(read_offsets(x, dims, -jnp.inf))
    y = functools.reduce(jnp.maximum, entries)
    # Counted in float32, whose comparisons and selections fill a vector register as those of y do.
    winner = jnp.zeros(y.shape, jnp.float32)
    for t in range(len(entries)) if ties == "last" else reversed(range(len(entries))):
        # A NaN is the maximum and equals nothing, so it is asked for by name.
        winner = jnp.where((entries[t] == y) | (entries[t] != entries[t]), jnp.float32(t), winner)
    return y, winner.astype(offset_dtype(dims))


def _materialized(pool, x):
    """XLA:CPU would fuse the search for the winners into the backward pass and repeat it for every entry of every
    window."""
    batch = x.shape[0]
    return materialize_in_halves(pool, x) if isinstance(batch, int) and batch % 2 == 0 else pool(x)


def _dims(shape, window, stride, padding, dilation) -> WindowDims:
    stride = window if stride is None else stride
    return window_dims("max_pool2d", shape, window, stride=stride, padding=padding, dilation=dilation)
