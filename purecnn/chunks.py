"""A batch in chunks, in a loop, where arrays made of the whole batch would fall out of a CPU's cache.

A chunk takes images from all over the batch: image i of chunk j is image i·chunks + j. So where a batch is sharded over
devices, each device has a part of every chunk, and no images move between devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array


def map_chunks(function: Callable[..., Sequence[Array]], chunks: int, *arrays: Array) -> tuple[Array, ...]:
    """`function` of each chunk of `arrays` (N, …), its results (n, …) put together to (N, …); `chunks` divides N."""
    cut = [_cut(a, chunks) for a in arrays]
    shapes = jax.eval_shape(function, *(a[:, 0] for a in cut))
    # Zeros like the input: under shard_map the results differ from device to device as it does, and must say so.
    start = tuple(lax.full_like(arrays[0], 0, s.dtype, (s.shape[0], chunks, *s.shape[1:])) for s in shapes)

    def step(j, whole):
        done = function(*_chunk(cut, j))
        return tuple(lax.dynamic_update_index_in_dim(w, d, j, 1) for w, d in zip(whole, done, strict=True))

    whole = lax.fori_loop(0, chunks, step, start)
    return tuple(w.reshape(w.shape[0] * chunks, *w.shape[2:]) for w in whole)


def sum_chunks(function: Callable[..., Array], chunks: int, *arrays: Array) -> Array:
    """The sum of `function` over the chunks of `arrays` (N, …); `chunks` divides N."""
    cut = [_cut(a, chunks) for a in arrays]
    shape = jax.eval_shape(function, *(a[:, 0] for a in cut))
    start = lax.full_like(arrays[0], 0, shape.dtype, shape.shape)
    return lax.scan(lambda total, j: (total + function(*_chunk(cut, j)), None), start, jnp.arange(chunks))[0]


def chunks_that_fit(n: int, bytes_per_image: int, room: int) -> int:
    """The fewest chunks of a batch of `n`, all of one size, of which each fits into `room` bytes or is one image."""
    return next((p for p in range(1, n) if n % p == 0 and n // p * bytes_per_image <= room), max(n, 1))


def _cut(array, chunks: int):
    return array.reshape(array.shape[0] // chunks, chunks, *array.shape[1:])


def _chunk(cut, j):
    return [lax.dynamic_index_in_dim(a, j, 1, keepdims=False) for a in cut]
