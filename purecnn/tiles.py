"""Tiles of an image that overlap, and the matrices that take them to Winograd's transform domain and back.

For a kernel with k offsets on an axis a tile has n = 4 entries (k ≤ 3) or 6, of which the next begins m = n − k + 1
later. What the matrices A, G and B are and why is derived in `kernels/conv_winograd.py`.
"""

from __future__ import annotations

import functools
import math
import operator

import jax.numpy as jnp
import numpy as np
from jax import lax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims, Pair

POINTS = {4: (0, 1, -1), 6: (0, 1, -1, -0.5, 2)}  # by n, and ∞


def tile(dims: ConvDims) -> Pair:
    """n on either axis."""
    rows, columns = (4 if k <= 3 else 6 for k in dims.size)
    return rows, columns


def step(dims: ConvDims) -> Pair:
    """m on either axis."""
    rows, columns = (n - k + 1 for n, k in zip(tile(dims), dims.size, strict=True))
    return rows, columns


def tiles(dims: ConvDims) -> Pair:
    """How many tiles either axis has; the last may reach beyond."""
    rows, columns = (-(-extent // m) for extent, m in zip(dims.output, step(dims), strict=True))
    return rows, columns


def matrices(dims: ConvDims, dtype) -> list[Array]:
    """A (m², n²), G (n², k²) and B (n², n²), the Kronecker products of those of the two axes."""
    return [jnp.asarray(np.kron(*pair), dtype) for pair in zip(*map(matrices_of_axis, dims.size), strict=True)]


def matrices_of_axis(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V_mᵀ, V_k and V_n⁻ᵀ. The rows of the last are Lagrange's polynomials, 1 at a point and 0 at the others, and for
    ∞ the one that is 0 at all of them."""
    points = np.array(POINTS[4 if k <= 3 else 6])

    def powers(count: int) -> np.ndarray:  # V of as many columns
        return np.vstack([np.vander(points, count, increasing=True), np.eye(count)[-1]])

    lagrange = [np.append(0, np.poly(points[points != z]) / np.prod(z - points[points != z])) for z in points]
    return powers(len(points) + 2 - k).T, powers(k), np.array([*lagrange, np.poly(points)])[:, ::-1]


def cut(x, size: Pair, before: Pair, dims: ConvDims):
    """Tiles of `size`, a step apart, with zeros `before` x and as many as are needed after: (size², tiles, C)."""
    edges, spans = [(0, 0, 0)], []
    for extent, high, low, m, count in zip(x.shape[1:3], size, before, step(dims), tiles(dims), strict=True):
        spans.append(m * (count - 1) + 1)
        edges.append((low, spans[-1] + high - 1 - low - extent, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), (*edges, (0, 0, 0)))
    m_rows, m_columns = step(dims)
    # Columns first, then rows: 2n slices to compile and not n².
    columns = jnp.stack([x[:, :, j : j + spans[1] : m_columns] for j in range(size[1])])
    rows = jnp.stack([columns[:, :, i : i + spans[0] : m_rows] for i in range(size[0])])
    return rows.reshape(size[0] * size[1], -1, x.shape[3])


def side_by_side(entries):
    """Tiles (m, m, N, rows, columns, C) as an image: (N, m·rows, m·columns, C)."""
    m_rows, m_columns, n, rows, columns, channels = entries.shape
    return entries.transpose(2, 3, 0, 4, 1, 5).reshape(n, m_rows * rows, m_columns * columns, channels)


def accumulate_overlaps(entries, axis: int, m: int):
    """Tiles `m` apart that overlap along `axis` as more tiles of just m entries: entry m·q + a of tile t is entry a of
    tile t + q."""

    def padded(array, along: int, low: int, high: int):
        return lax.pad(
            array, jnp.zeros((), array.dtype), [(low, high, 0) if i == along else (0, 0, 0) for i in range(6)]
        )

    shifts = -(-entries.shape[axis] // m)
    parts = jnp.split(padded(entries, axis, 0, shifts * m - entries.shape[axis]), shifts, axis)
    return functools.reduce(operator.add, (padded(p, axis + 3, q, shifts - 1 - q) for q, p in enumerate(parts)))


def products_saved(dims: ConvDims) -> float:
    """How many times fewer products than the sums have; zeros that fill up the last tiles count."""
    return math.prod(dims.size) * math.prod(dims.output) / math.prod(tile(dims) + tiles(dims))


def tiles_per_point(dims: ConvDims) -> float:
    """How many tiles share the work of transforming the kernel, which has n² points."""
    return dims.batch * math.prod(tiles(dims)) / math.prod(tile(dims))


def image_bytes(dims: ConvDims) -> int:
    """Of an image's input and output in the transform domain, in float32."""
    return 4 * math.prod(tile(dims) + tiles(dims)) * (dims.in_channels + dims.out_channels)
