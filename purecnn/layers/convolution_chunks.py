"""The weight cotangent of a convolution on a CPU (lecture row 15's product), a few images at a time.

With X the patches of x, one row per place m, w̄ = Xᵀ Ȳ is one matrix product; but X is kh·kw times the input and falls
out of the cache. Here the sum over m is taken a chunk of images at a time, and the taps may be shared out:

    w̄[i, j, c, d] = Σ_{n, o, p} x[n, o + δ·i − top, s·p + δ·j − left, c] ȳ[n, o, p, d]
                  = Σ_{n, h, p} x[n, h − top, s·p + δ·j − left, c] ȳ[n, h − δ·i, p, d]                  (h = o + δ·i)

On the first line all taps are on x's side: kh·kw·C columns against D. On the second x carries the kw taps of a row and
ȳ the kh shifts of its rows, zero outside: kw·C columns against kh·D, a squarer product made from fewer copies, over a
few rows h more. It needs a row stride of 1, and is taken where that costs less.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.geometry import Window
from purecnn.layers.pieces import pieces_that_fit, sum_pieces
from purecnn.layers.products import einsum

CHUNK_BYTES = 4 << 20  # of copies: what stays in the cache
HALVES = 2  # of a chunk, each a product of its own, so that two cores have one each
WIDE = 256  # columns of X from which the product is fast as a whole, and faster with ȳ turned
COPIED_BYTE = 24  # multiplications and additions in the time it takes to write one byte of a copy and read it again


def weight_cotangent(
    x: Float[Array, "n h w c"], y_bar: Float[Array, "n ho wo d"], places: Window, groups: int
) -> Float[Array, "kh kw cg d"]:
    """w̄ (kh, kw, C/groups, D), in the dtype sums are formed in."""
    n, _, _, channels = x.shape
    outputs, (kh, kw) = y_bar.shape[3], places.size
    shared = _rows_are_shared(places, channels, outputs, groups)
    copies = _shared_copies(places, channels, outputs) if shared else kh * kw * channels * math.prod(places.output)
    chunks = pieces_that_fit(n, copies * x.dtype.itemsize, CHUNK_BYTES, multiple=HALVES)
    wide = not shared and kh * kw * channels // groups > WIDE
    halves = HALVES if n // chunks % HALVES == 0 and not wide else 1

    def of_chunk(x, y_bar):
        left, right = _columns(x, places), y_bar
        if shared:
            right = _shifted_rows(right, places)
        else:
            # Columns first, then rows: kw + kh slices to compile instead of kh·kw.
            left = _rows(lax.optimization_barrier(left), places)
        left = left.reshape(halves, -1, kw if shared else kh * kw, groups, channels // groups)
        right = right.reshape(halves, -1, kh if shared else 1, groups, outputs // groups)
        if wide:
            right = right.transpose(0, 2, 3, 4, 1)
        # The barrier keeps them matrices, for XLA's fast product.
        left, right = lax.optimization_barrier((left, right))
        subscripts = "rmtgc,rugdm->rgtcud" if wide else "rmtgc,rmugd->rgtcud"
        return einsum(subscripts, left, right).sum(axis=0)

    w_bar = sum_pieces(of_chunk, chunks, x, y_bar)  # (g, kw, C/g, kh, D/g) or (g, kh·kw, C/g, 1, D/g)
    order = (3, 1, 2, 0, 4) if shared else (1, 3, 2, 0, 4)  # (kh, kw, C/g, g, D/g), or (kh·kw, 1, …)
    return w_bar.transpose(order).reshape(kh, kw, channels // groups, outputs)


def _columns(x, places: Window):
    """(n, padded rows, Wo, kw·C): what each row's taps see."""
    x = lax.pad(x, jnp.zeros((), x.dtype), places.input_pad)
    step, gap, count = places.stride[1], places.dilation[1], places.output[1]
    ends = [(gap * j, gap * j + step * (count - 1) + 1) for j in range(places.size[1])]
    return jnp.concatenate([x[:, :, start:stop:step] for start, stop in ends], axis=3)


def _rows(columns, places: Window):
    """(n, Ho, Wo, kh·kw·C), from the columns of the padded rows."""
    step, gap, count = places.stride[0], places.dilation[0], places.output[0]
    ends = [(gap * i, gap * i + step * (count - 1) + 1) for i in range(places.size[0])]
    return jnp.concatenate([columns[:, start:stop:step] for start, stop in ends], axis=3)


def _shifted_rows(y_bar, places: Window):
    """(n, padded rows, Wo, kh·D): row h holds the ȳ of rows h − δ·i."""
    rows, gap = _padded_rows(places), places.dilation[0]
    reach = gap * (places.size[0] - 1)
    after = rows - places.output[0]
    y_bar = lax.pad(y_bar, jnp.zeros((), y_bar.dtype), ((0, 0, 0), (reach, after, 0), (0, 0, 0), (0, 0, 0)))
    starts = [reach - gap * i for i in range(places.size[0])]
    return jnp.concatenate([y_bar[:, start : start + rows] for start in starts], axis=3)


def _padded_rows(places: Window) -> int:
    return sum(places.padding[0]) + places.input[0]


def _shared_copies(places: Window, channels: int, outputs: int) -> int:
    """Numbers copied per image where the taps are shared out."""
    return (places.size[1] * channels + places.size[0] * outputs) * _padded_rows(places) * places.output[1]


def _rows_are_shared(places: Window, channels: int, outputs: int, groups: int) -> bool:
    """Whether that costs less than all taps on x's side: more places to multiply at, fewer copies."""
    if places.stride[0] > 1 or places.size[0] == 1:
        return False
    copies = math.prod(places.size) * channels * math.prod(places.output)
    products = 2 * copies * outputs // groups
    more = _padded_rows(places) / places.output[0]
    saved = 4 * COPIED_BYTE * (copies - _shared_copies(places, channels, outputs))
    return saved > products * (more - 1)
