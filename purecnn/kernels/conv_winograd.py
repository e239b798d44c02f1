"""Convolution by Winograd's F(m, k) on a CPU, for many channels (Winograd 1980; in networks Lavin and Gray 2015).

One axis first: m outputs of a correlation with k kernel offsets read n = m + k − 1 entries, y[o] = Σ_i d[o + i] g[i].
For fixed g, Σ_o y[o] h[o] = Σ_{o, i} d[o + i] g[i] h[o] pairs d with the coefficients of g(z) h(z), two polynomials
multiplied. The product has n coefficients, so its values at n points fix it. With V_c the n×c matrix whose rows are
1, z, …, z^{c−1} at each point (0, …, 0, 1 at ∞, where a polynomial's value is its leading coefficient),

    coefficients of g·h = V_n⁻¹ [(V_k g) ⊙ (V_m h)]

and, paired with d and read as a function of h,

    y = A [(G g) ⊙ (B d)]        A = V_mᵀ    G = V_k    B = V_n⁻ᵀ        n products where the sum has m·k

On two axes A, G and B act on rows and on columns, as one matrix their Kronecker product. The input is cut into tiles of
n×n entries, m apart, so that they overlap by k − 1. Summed over channels c, ⊙ is a matrix product at each point u of
the transform domain, which is where the work is:

    Y[tile] = A M[·, tile]        M[u, tile, d] = Σ_c (B X)[u, tile, c] (G W)[u, c, d]

A product sends its cotangent to either factor times the other, and a matrix takes it back transposed:

    X̄[tile] = Bᵀ Σ_d (Aᵀ Ȳ)[·, tile, d] (G W)[·, c, d]        W̄ = Gᵀ Σ_tiles (B X)[·, tile, c] (Aᵀ Ȳ)[·, tile, d]

Tiles of x̄ accumulate where they overlap, as the entries there were read by each.

AlexNet's layers but the first take 0.5 to 0.6 of the page's time. Rounding: with 3 offsets the points are 0, 1, −1, ∞,
all coefficients 0, ±1 and ±1/2, small integers stay exact, and sums of 384 channels err 1.5 times as much as the
page's. With 4 and 5 offsets −1/2 and 2 come in, and they err 7 times as much: 2e-6 of y's standard deviation. An entry
that is infinite or NaN makes NaN of all outputs of its tiles, where the page makes NaN of those whose window it is in.
"""

from __future__ import annotations

import functools
import math
import operator

import jax.numpy as jnp
import numpy as np
from jax import lax

from purecnn.annotations import Array
from purecnn.chunks import chunks_that_fit, map_chunks, sum_chunks
from purecnn.geometry import ConvDims, Pair
from purecnn.ops import accumulation_dtype

POINTS = {4: (0, 1, -1), 6: (0, 1, -1, -0.5, 2)}  # by n, and ∞
LONGEST = 5  # kernel offsets on an axis
CHUNK_BYTES = 12 << 20  # in the transform domain: what stays in the cache


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not know this convolution; "" if it does."""
    known = dims.stride == dims.dilation == (1, 1) and max(dims.size) <= LONGEST and dims.groups == 1
    expected = f"stride and dilation 1, 1 group, kernels to {LONGEST}×{LONGEST}, a batch whose size is a number"
    return "" if known and isinstance(dims.batch, int) else expected


def products_saved(dims: ConvDims) -> float:
    """How many times fewer products than the sums have; zeros that fill up the last tiles count."""
    return math.prod(dims.size) * math.prod(dims.output) / math.prod(_tile(dims) + _tiles(dims))


def forward(x, w, dims: ConvDims) -> Array:
    """y (N, Ho, Wo, D)."""
    a, g, b = _matrices(dims, accumulation_dtype(x.dtype))
    kernel = _transformed_kernel(g, w)

    def outputs_of(x):
        product = jnp.einsum("umc,ucd->umd", _transformed_input(b, x, dims), kernel)
        y = jnp.einsum("vu,umd->vmd", a, product).reshape(*_step(dims), len(x), *_tiles(dims), dims.out_channels)
        return (_side_by_side(y)[:, : dims.output[0], : dims.output[1]].astype(x.dtype),)

    return map_chunks(outputs_of, _chunks(dims), x)[0]


def input_cotangent(y_bar, w, dims: ConvDims) -> Array:
    """x̄ (N, H, W, C)."""
    a, g, b = _matrices(dims, accumulation_dtype(y_bar.dtype))
    kernel, ((top, _), (left, _)) = _transformed_kernel(g, w), dims.padding

    def inputs_of(y_bar):
        product = jnp.einsum("umd,ucd->umc", _transformed_cotangent(a, y_bar, dims), kernel)
        tiles = jnp.einsum("ut,umc->tmc", b, product)
        tiles = tiles.reshape(*_tile(dims), len(y_bar), *_tiles(dims), dims.in_channels)
        for axis in (0, 1):
            tiles = _accumulate_overlaps(tiles, axis, _step(dims)[axis])
        x_bar = _side_by_side(tiles)[:, top : top + dims.input[0], left : left + dims.input[1]]
        return (x_bar.astype(y_bar.dtype),)

    return map_chunks(inputs_of, _chunks(dims), y_bar)[0]


def weight_cotangent(x, y_bar, dims: ConvDims) -> Array:
    """w̄ (kh, kw, C, D)."""
    a, g, b = _matrices(dims, accumulation_dtype(x.dtype))

    def products_of(x, y_bar):
        return jnp.einsum("umc,umd->ucd", _transformed_input(b, x, dims), _transformed_cotangent(a, y_bar, dims))

    w_bar = jnp.einsum("ut,ucd->tcd", g, sum_chunks(products_of, _chunks(dims), x, y_bar))
    return w_bar.reshape(*dims.size, dims.in_channels, dims.out_channels).astype(x.dtype)


def _chunks(dims: ConvDims) -> int:
    numbers = math.prod(_tile(dims) + _tiles(dims)) * (dims.in_channels + dims.out_channels)
    return chunks_that_fit(dims.batch, 4 * numbers, CHUNK_BYTES)


def _transformed_kernel(g, w):
    """G W: (n², C, D)."""
    return jnp.einsum("ut,tcd->ucd", g, w.astype(g.dtype).reshape(-1, *w.shape[2:]))


def _transformed_input(b, x, dims: ConvDims):
    """B X: (n², tiles, C)."""
    before = (dims.padding[0][0], dims.padding[1][0])
    return jnp.einsum("ut,tmc->umc", b, _cut(x.astype(b.dtype), _tile(dims), before, dims))


def _transformed_cotangent(a, y_bar, dims: ConvDims):
    """Aᵀ Ȳ: (n², tiles, D)."""
    return jnp.einsum("vu,vmd->umd", a, _cut(y_bar.astype(a.dtype), _step(dims), (0, 0), dims))


def _tile(dims: ConvDims) -> Pair:
    """n on either axis."""
    rows, columns = (4 if k <= 3 else 6 for k in dims.size)
    return rows, columns


def _step(dims: ConvDims) -> Pair:
    """m on either axis."""
    rows, columns = (n - k + 1 for n, k in zip(_tile(dims), dims.size, strict=True))
    return rows, columns


def _tiles(dims: ConvDims) -> Pair:
    """How many tiles either axis has; the last may reach beyond."""
    rows, columns = (-(-extent // m) for extent, m in zip(dims.output, _step(dims), strict=True))
    return rows, columns


def _matrices(dims: ConvDims, dtype) -> list[Array]:
    """A (m², n²), G (n², k²) and B (n², n²), the Kronecker products of those of the two axes."""
    return [jnp.asarray(np.kron(*pair), dtype) for pair in zip(*map(_matrices_of_axis, dims.size), strict=True)]


def _matrices_of_axis(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """V_mᵀ, V_k and V_n⁻ᵀ. The rows of the last are Lagrange's polynomials, 1 at a point and 0 at the others, and for
    ∞ the one that is 0 at all of them."""
    points = np.array(POINTS[4 if k <= 3 else 6])

    def powers(count: int) -> np.ndarray:  # V of as many columns
        return np.vstack([np.vander(points, count, increasing=True), np.eye(count)[-1]])

    lagrange = [np.append(0, np.poly(points[points != z]) / np.prod(z - points[points != z])) for z in points]
    return powers(len(points) + 2 - k).T, powers(k), np.array([*lagrange, np.poly(points)])[:, ::-1]


def _cut(x, size: Pair, before: Pair, dims: ConvDims):
    """Tiles of `size`, a step apart, with zeros `before` x and as many as are needed after: (size², tiles, C)."""
    edges, spans = [(0, 0, 0)], []
    for extent, high, low, m, count in zip(x.shape[1:3], size, before, _step(dims), _tiles(dims), strict=True):
        spans.append(m * (count - 1) + 1)
        edges.append((low, spans[-1] + high - 1 - low - extent, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), (*edges, (0, 0, 0)))
    m_rows, m_columns = _step(dims)
    # Columns first, then rows: 2n slices to compile and not n².
    columns = jnp.stack([x[:, :, j : j + spans[1] : m_columns] for j in range(size[1])])
    rows = jnp.stack([columns[:, :, i : i + spans[0] : m_rows] for i in range(size[0])])
    return rows.reshape(size[0] * size[1], -1, x.shape[3])


def _side_by_side(tiles):
    """Tiles (m, m, N, rows, columns, C) as an image: (N, m·rows, m·columns, C)."""
    m_rows, m_columns, n, rows, columns, channels = tiles.shape
    return tiles.transpose(2, 3, 0, 4, 1, 5).reshape(n, m_rows * rows, m_columns * columns, channels)


def _accumulate_overlaps(tiles, axis: int, step: int):
    """Tiles a `step` apart that overlap along `axis` as more tiles of just a step: entry step·q + a of tile t is entry
    a of tile t + q."""

    def padded(array, along: int, low: int, high: int):
        return lax.pad(
            array, jnp.zeros((), array.dtype), [(low, high, 0) if i == along else (0, 0, 0) for i in range(6)]
        )

    shifts = -(-tiles.shape[axis] // step)
    parts = jnp.split(padded(tiles, axis, 0, shifts * step - tiles.shape[axis]), shifts, axis)
    return functools.reduce(operator.add, (padded(p, axis + 3, q, shifts - 1 - q) for q, p in enumerate(parts)))
