"""A batch a piece at a time, in a loop, where arrays made of the whole batch would fall out of the cache.

A piece takes images from all over the batch: image i of piece j is image i·pieces + j. So where a batch is cut over
devices, each device has a part of every piece, and none has to be sent another's images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array


def map_pieces(function: Callable[..., Sequence[Array]], pieces: int, *arrays: Array) -> tuple[Array, ...]:
    """What `function` makes of each piece of `arrays` (N, …): arrays with an image of theirs for each of the piece's,
    put together to N again. XLA writes them down before it goes on; `pieces` divides N."""
    cut = [_cut(a, pieces) for a in arrays]
    shapes = jax.eval_shape(function, *(a[:, 0] for a in cut))
    # Zeros like the input: under shard_map the results differ from device to device as it does, and must say so.
    start = tuple(lax.full_like(arrays[0], 0, s.dtype, (s.shape[0], pieces, *s.shape[1:])) for s in shapes)

    def step(j, whole):
        done = function(*_piece(cut, j))
        return tuple(lax.dynamic_update_index_in_dim(w, d, j, 1) for w, d in zip(whole, done, strict=True))

    whole = lax.fori_loop(0, pieces, step, start)
    return tuple(w.reshape(w.shape[0] * pieces, *w.shape[2:]) for w in whole)


def in_halves(function: Callable[..., Sequence[Array]], *arrays: Array) -> tuple[Array, ...]:
    """`map_pieces` with two pieces, each handed on whole: XLA writes into a part of an array with one thread."""
    cut = [_cut(a, 2) for a in arrays]
    shapes = jax.eval_shape(function, *(a[:, 0] for a in cut))
    start = tuple(lax.full_like(arrays[0], 0, s.dtype, s.shape) for s in shapes)
    halves = lax.fori_loop(0, 2, lambda j, done: (done[1], tuple(function(*_piece(cut, j)))), (start, start))
    together = (jnp.stack(pair, axis=1) for pair in zip(*halves, strict=True))
    return tuple(both.reshape(2 * both.shape[0], *both.shape[2:]) for both in together)


def sum_pieces(function: Callable[..., Array], pieces: int, *arrays: Array) -> Array:
    """The sum of what `function` makes of each piece of `arrays` (N, …); `pieces` divides N."""
    cut = [_cut(a, pieces) for a in arrays]
    shape = jax.eval_shape(function, *(a[:, 0] for a in cut))
    start = lax.full_like(arrays[0], 0, shape.dtype, shape.shape)
    return lax.scan(lambda total, j: (total + function(*_piece(cut, j)), None), start, jnp.arange(pieces))[0]


def pieces_that_fit(n: int, bytes_per_image: int, room: int) -> int:
    """The fewest pieces of a batch of `n`, all of one size, of which each fits into `room` bytes or is one image."""
    return next((p for p in range(1, n) if n % p == 0 and n // p * bytes_per_image <= room), max(n, 1))


def _cut(array, pieces: int):
    return array.reshape(array.shape[0] // pieces, pieces, *array.shape[1:])


def _piece(cut, j):
    return [lax.dynamic_index_in_dim(a, j, 1, keepdims=False) for a in cut]
