"""The weight cotangent of a convolution on a CPU (lecture row 15's product), a few images at a time.

With X the patches of x, one row per place, w̄ = Xᵀ Ȳ is one matrix product. Two things make it slow as it stands: X is
kh·kw times the input and falls out of the cache, and a product that sums over the rows of both sides first turns one of
them. Here x is turned, while it is small, and then copied once per tap, columns first and then rows, into

    Xᵀ[(i, j, c), (n, o, p)] = x[n, s·o + δ·i − top, s·p + δ·j − left, c]

whose rows are stretches of x's own. The sum over n is taken a chunk of images at a time, each a product of its own.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.geometry import Window
from purecnn.layers.pieces import pieces_that_fit, sum_pieces
from purecnn.layers.products import einsum
from purecnn.layers.taps import read_axis

CHUNK_BYTES = 5 << 20  # of copies: what stays in the cache


def weight_cotangent(
    x: Float[Array, "n h w c"], y_bar: Float[Array, "n ho wo d"], places: Window, groups: int
) -> Float[Array, "kh kw cg d"]:
    """w̄ (kh, kw, C/groups, D), in the dtype sums are formed in."""
    channels, outputs = x.shape[3] // groups, y_bar.shape[3] // groups
    copies = math.prod(places.size) * x.shape[3] * math.prod(places.output)

    def of_chunk(x, y_bar):
        patches = _patches(x, places, groups)
        return einsum("gtm,mgd->gtd", patches, y_bar.reshape(patches.shape[2], groups, outputs))

    w_bar = sum_pieces(of_chunk, pieces_that_fit(x.shape[0], copies * x.dtype.itemsize, CHUNK_BYTES), x, y_bar)
    w_bar = w_bar.reshape(groups, *places.size, channels, outputs)
    return w_bar.transpose(1, 2, 3, 0, 4).reshape(*places.size, channels, groups * outputs)


def _patches(x, places: Window, groups: int):
    """Xᵀ of each group: (g, kh·kw·C/g, n·Ho·Wo)."""
    x = lax.pad(x, jnp.zeros((), x.dtype), places.input_pad)
    turned = x.reshape(*x.shape[:3], groups, x.shape[3] // groups).transpose(3, 4, 0, 1, 2)
    # The barriers keep XLA from merging the two copies.
    columns = lax.optimization_barrier(read_axis(turned, places, 1, at=4, along=1))
    rows = read_axis(columns, places, 0, at=3, along=1)
    return lax.optimization_barrier(rows.reshape(*rows.shape[:2], len(x) * math.prod(places.output)))
