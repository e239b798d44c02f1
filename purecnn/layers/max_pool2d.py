"""Max pooling (lecture row 10).

    y[n, o, p, c] = max over kernel offsets (i, j) of x[n, s·o + d·i − top, s·p + d·j − left, c]

An output moves with the entry that won its window and with no other, so each ȳ goes to its winner. Where windows
overlap, an entry may win several and its cotangents add up:

    x̄[entry] = Σ over the windows it won of ȳ[window]

Where entries tie, the maximum has a kink: any weights on them that sum to one are a subgradient. `ties` says which:

    "first"   all of ȳ to the first winner, row by row through the window (as XLA's own pooling does)
    "last"    all of ȳ to the last
    "split"   each of m winners gets ȳ / m
    "all"     each winner gets the whole ȳ (the slope upwards of each alone; their sum is no subgradient)

A maximum over a window is one over its rows of the maxima over their columns, and the first winner, row by row, is the
first winner in the first row that has it. So a large window is pooled in two passes, columns and rows, kh + kw offsets
in place of kh·kw; ȳ goes back through the rows' winners, then through the columns'. Many offsets along an axis are read
in a loop, which has one body to compile.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.checks import require_choice, require_floats, require_rank
from purecnn.geometry import Padding, Size2d, WindowDims, window_dims
from purecnn.offsets import (
    fold_offsets,
    no_offset,
    no_winner,
    offset_dtype,
    passes,
    read_offsets,
    reduced_in_passes,
    sum_over_windows,
    to_phases,
)
from purecnn.ops import accumulation_dtype, called
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
    itself, with which it ties. A NaN under a window gives NaN, and gets its cotangent. Residuals: for `ties` "first"
    and "last" the winner's offset in the window, one byte per output (of a large window, one per output of each pass);
    for "split" and "all" x and y. Raises ValueError or TypeError for a wrong rank, a dtype that is not floating, a
    window that does not fit, or an unknown `ties`.
    """
    dims = _dims(x, window, stride, padding, dilation, ties)
    return _largest(x, dims)


@max_pool2d.def_fwd
def max_pool2d_fwd(x, *, window=2, stride=None, padding="VALID", dilation=1, ties="first", within=None):
    """y and its residuals: (the winner's offset in each pass, the shape of x) for "first" and "last", else (x, y).

    With the bounds `within` (and "first" or "last") no entry wins where y is not inside them: then x̄ is already the
    cotangent of what is in front of a ReLU that made x (`purecnn.masks`).
    """
    dims = _dims(x, window, stride, padding, dilation, ties)
    if ties in ("split", "all"):
        # The backward pass looks for entries equal to y. XLA would compute x for it anew, and round it otherwise: on a
        # GPU not behind a barrier, on a CPU not what two calls read.
        x, largest = lax.optimization_barrier(x), functools.partial(_largest, dims=dims)
        y = lax.platform_dependent(x, cpu=called(largest, "largest"), default=largest)
        return y, (x, y)
    y, winners, windows = x, [], passes(dims)
    for n, one in enumerate(windows, start=1):
        search = functools.partial(_with_winner, dims=one, ties=ties, within=within if n == len(windows) else None)
        # XLA:CPU would fuse a search into the backward pass and repeat it for every entry of every window.
        # A GPU would search once for y and once more for the winner.
        y, winner = lax.platform_dependent(
            y, cpu=called(search, "winner"), default=lambda x, search=search: lax.optimization_barrier(search(x))
        )
        winners.append(winner)
    return y, (*winners, shape_carrier(x))


@max_pool2d.def_bwd
def max_pool2d_bwd(residuals, y_bar, *, window=2, stride=None, padding="VALID", dilation=1, ties="first"):
    """x̄ (N, H, W, C)."""
    dims = _dims(residuals[0 if ties in ("split", "all") else -1], window, stride, padding, dilation, ties)
    if ties in ("first", "last"):
        *winners, _ = residuals
        x_bar = y_bar
        for winner, one in reversed(list(zip(winners, passes(dims), strict=True))):
            x_bar = _to_winners(winner, x_bar, one)
    else:
        to_equal = functools.partial(_to_equal, dims=dims, ties=ties)
        x_bar = lax.platform_dependent(*residuals, y_bar, cpu=called(to_equal, "to_equal"), default=to_equal)
    return (x_bar.astype(y_bar.dtype),)


def _largest(x, dims: WindowDims):
    return _maxima(x, dims)[-1]


def _maxima(x, dims: WindowDims):
    """x, and the maxima after each pass."""

    def maximum(x, dims: WindowDims):
        return fold_offsets(lambda entry: entry, lambda y, _, entry: jnp.maximum(y, entry), x, dims, -jnp.inf)

    return reduced_in_passes(x, dims, maximum)


def _with_winner(x, dims: WindowDims, ties, within=None):
    """The maximum and its offset, carried beside it: a search for equal entries misses those that XLA rounds anew."""

    def first(entry):
        # Counted in float32, whose comparisons and selections fill a vector register as those of y do.
        return entry, lax.full_like(entry, 0, jnp.float32)

    def step(best, t, entry):
        y, winner = best
        # A NaN wins over every number and compares with none: it is neither ≤ y nor equal to itself.
        # Told instead when the winner stays, (entry <= y) | (y != y), LLVM makes loops that take 2.7 times as long.
        first = jnp.logical_not(entry <= y) & (y == y)
        wins = (entry >= y) | (entry != entry) if ties == "last" else first
        return jnp.maximum(y, entry), jnp.where(wins, jnp.float32(t), winner)

    y, winner = fold_offsets(first, step, x, dims, -jnp.inf)
    winner = winner.astype(offset_dtype(dims))
    if within is not None:
        low, high = within
        inside = y > low if high is None else (y > low) & (y < high)
        winner = jnp.where(inside, winner, no_winner(dims))
    return y, winner


def _to_winners(winner, y_bar, dims: WindowDims):
    """At every input position Σ ȳ over the windows that read it at their winner's offset, in the accumulation dtype."""
    wide = accumulation_dtype(y_bar.dtype)

    def term(at, won, y_bar):
        return jnp.where(at == won, y_bar.astype(wide), jnp.zeros((), wide))

    return sum_over_windows(dims, term, winner, y_bar)


def _to_equal(x, y, y_bar, dims: WindowDims, ties):
    """ȳ, or a share of it, to all entries that equal the maximum of their window, in the accumulation dtype."""
    x_bar = y_bar.astype(accumulation_dtype(y_bar.dtype))
    maxima = [*_maxima(x, dims)[:-1], y]
    if ties == "split":
        x_bar = x_bar / _number_tied(maxima, dims, x_bar.dtype)
    for x, y, one in reversed(list(zip(maxima[:-1], maxima[1:], passes(dims), strict=True))):
        x_bar = _to_all_maxima(x, y, x_bar, one)
    return x_bar


def _number_tied(maxima, dims: WindowDims, dtype):
    """How many entries of each window equal its maximum. `maxima` are x and the maxima after each pass."""
    number, padded = jnp.ones(maxima[0].shape, dtype), 1.0  # of entries equal to each value, and to one of padding
    for x, y, one in zip(maxima[:-1], maxima[1:], passes(dims), strict=True):
        pairs = zip(read_offsets(x, one, -jnp.inf), read_offsets(number, one, padded), strict=True)
        number = functools.reduce(jnp.add, (jnp.where(entry == y, many, 0) for entry, many in pairs))
        padded *= one.size[0] * one.size[1]
    return number


def _to_all_maxima(x, y, y_bar, dims: WindowDims):
    """At every input position Σ ȳ over the windows whose maximum it equals."""
    entries, zero = to_phases(x, dims), jnp.zeros((), y_bar.dtype)

    def term(at, y, y_bar):
        return jnp.where((entries == y) & (at != no_offset(dims)), y_bar, zero)

    return sum_over_windows(dims, term, y, y_bar)


def _dims(x, window, stride, padding, dilation, ties) -> WindowDims:
    require_floats("max_pool2d", x=x)
    require_rank("max_pool2d", "N H W C", x=x)
    require_choice("max_pool2d", "ties", ties, TIES)
    options = {"stride": window if stride is None else stride, "padding": padding, "dilation": dilation}
    return window_dims("max_pool2d", x.shape, window, **options)
