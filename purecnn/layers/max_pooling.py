"""Max pooling (lecture row 10).

    y[n, o, p, c] = max over taps (i, j) of x[n, s·o + d·i − top, s·p + d·j − left, c]

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
from purecnn.arguments import accumulation_dtype, require_choice, require_floats, require_rank, shape_carrier
from purecnn.geometry import Padding, Size2d, window2d
from purecnn.layers.pieces import in_halves
from purecnn.layers.taps import in_phases, no_tap, read_taps, sum_over_windows, tap_dtype
from purecnn.rules import rule

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
    itself, with which it ties. A NaN under a window gives NaN. Kept for the backward rule: for `ties` "first" and
    "last" the winner's place in the window, one byte an output; for "split" and "all" x and y. Raises ValueError or
    TypeError for a wrong rank, a dtype that is not floating, a window that does not fit, or another word for `ties`.
    """
    return _pool(x, window, stride, padding, dilation, ties)[0]


def max_pool2d_fwd(x, *, window=2, stride=None, padding="VALID", dilation=1, ties="first"):
    """y and its residuals: (winner's tap, the shape of x), or (x, y). Shares the primal's loop over the taps."""

    def pool(x):
        return _pool(x, window, stride, padding, dilation, ties)

    y, winner = lax.platform_dependent(x, cpu=lambda x: _written_down(pool, x), default=pool)
    return y, (winner, shape_carrier(x)) if ties in ("first", "last") else (x, y)


def max_pool2d_bwd(residuals, y_bar, *, window=2, stride=None, padding="VALID", dilation=1, ties="first"):
    """x̄ (N, H, W, C)."""
    wide = y_bar.astype(accumulation_dtype(y_bar.dtype))
    if ties in ("first", "last"):
        kept, carrier = residuals
        places = _places(carrier.shape, window, stride, padding, dilation)
        won = operator.eq  # the winner of the window at hand is the tap at hand
    else:
        x, kept = residuals
        places = _places(x.shape, window, stride, padding, dilation)
        won = functools.partial(_is_maximum, in_phases(x, places), no_tap(places))
        if ties == "split":
            winners = ((tap == kept).astype(wide.dtype) for tap in read_taps(x, places, -jnp.inf))
            wide = wide / functools.reduce(operator.add, winners)
    zero = jnp.zeros((), wide.dtype)
    x_bar = sum_over_windows(places, lambda tap, kept, wide: jnp.where(won(tap, kept), wide, zero), kept, wide)
    return (x_bar.astype(y_bar.dtype),)


def _is_maximum(entries, none, tap, y):
    return (entries == y) & (tap != none)


def _pool(x, window, stride, padding, dilation, ties):
    """The maximum, and the tap at which it stands: the first or, for ties="last", the last."""
    require_floats("max_pool2d", x=x)
    require_rank("max_pool2d", "N H W C", x=x)
    require_choice("max_pool2d", "ties", ties, TIES)
    places = _places(x.shape, window, stride, padding, dilation)
    taps = list(read_taps(x, places, -jnp.inf))
    y = functools.reduce(jnp.maximum, taps)
    # Counted in float32, whose comparisons and selections fill a vector register as those of y do.
    winner = jnp.zeros(y.shape, jnp.float32)
    for t in range(len(taps)) if ties == "last" else reversed(range(len(taps))):
        # A NaN is the maximum and equals nothing, so it is asked for by name.
        winner = jnp.where((taps[t] == y) | (taps[t] != taps[t]), jnp.float32(t), winner)
    return y, winner.astype(tap_dtype(places))


def _written_down(pool, x):
    """`pool` of every other image, then of the others, in a loop, whose results XLA must write down. Otherwise it
    merges the search for the winners into the backward pass and does it again for every entry of every window."""
    return pool(x) if x.shape[0] % 2 else in_halves(pool, x)


def _places(shape, window, stride, padding, dilation):
    stride = window if stride is None else stride
    return window2d("max_pool2d", shape, window, stride=stride, padding=padding, dilation=dilation)


max_pool2d.defvjp(max_pool2d_fwd, max_pool2d_bwd)
