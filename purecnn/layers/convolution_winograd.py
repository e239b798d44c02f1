"""Convolution by minimal filtering (Winograd 1980; in networks Lavin and Gray 2015): the CPU's form for many channels.

One axis first: m outputs of a correlation with k taps read n = m + k − 1 entries, y[o] = Σ_i d[o + i] g[i]. Turn the
map around, for fixed g: Σ_o y[o] h[o] = Σ_{o, i} d[o + i] g[i] h[o] pairs d with the coefficients of g(z) h(z), two
polynomials multiplied. That product has n coefficients, so its values at n points fix it. With V_c the n×c matrix whose
rows are 1, z, …, z^{c−1} at each point (0, …, 0, 1 at the point ∞, where a polynomial's value is its leading
coefficient),

    coefficients of g·h = V_n⁻¹ [(V_k g) ⊙ (V_m h)]

and, paired with d and read as a function of h,

    y = A [(G g) ⊙ (B d)]        A = V_mᵀ    G = V_k    B = V_n⁻ᵀ        n products where the sum has m·k

On two axes A, G and B act on rows and on columns, which as one matrix is their Kronecker product. The input is cut into
tiles of n×n entries, m apart, so that they overlap by k − 1. Summed over channels c, ⊙ is a matrix product at each of
the n² points u, which is where the work is:

    Y[tile] = A M[·, tile]        M[u, tile, d] = Σ_c (B X)[u, tile, c] (G W)[u, c, d]

A product sends its cotangent to either factor times the other, and a matrix takes it back transposed:

    X̄[tile] = Bᵀ Σ_d (Aᵀ Ȳ)[·, tile, d] (G W)[·, c, d]        W̄ = Gᵀ Σ_tiles (B X)[·, tile, c] (Aᵀ Ȳ)[·, tile, d]

Tiles of x̄ are added up where they overlap, as the entries there were read by each.

Rounding: up to 3 taps the points are 0, 1, −1, ∞, all coefficients 0, ±1 and ±1/2, small integers stay exact, and sums
of 384 channels err 1.5 times as much as summed directly. With 4 and 5 taps −1/2 and 2 come in, and they err 7 times as
much: 2e-6 of y's standard deviation. An entry that is infinite or NaN makes NaN of all outputs of its tiles.
"""

from __future__ import annotations

import functools
import math
import operator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.arguments import accumulation_dtype
from purecnn.geometry import Pair, Window
from purecnn.layers.pieces import map_pieces, pieces_that_fit, sum_pieces
from purecnn.layers.products import einsum

POINTS = {4: (0, 1, -1), 6: (0, 1, -1, -0.5, 2)}  # by n, and ∞
LONGEST = 5  # taps
PIECE_BYTES = 12 << 20  # of entries and products at the points: what stays near the processor


def fits(places: Window, groups: int) -> bool:
    """Whether the form knows this convolution: neighbouring windows, taps without gaps, one group."""
    return places.stride == places.dilation == (1, 1) and max(places.size) <= LONGEST and groups == 1


def products_saved(places: Window) -> float:
    """How many times fewer products than the sums have; zeros that fill up the last tiles count."""
    return math.prod(places.size) * math.prod(places.output) / math.prod(_size(places) + _tiles(places))


def forward(x: Float[Array, "n h w c"], w: Float[Array, "kh kw c d"], places: Window) -> Float[Array, "n ho wo d"]:
    """y (N, Ho, Wo, D), in the dtype sums are formed in."""
    a, g, b = _matrices(places, accumulation_dtype(x.dtype))
    kernel = _kernel_at_points(g, w)

    def outputs_of(x):
        product = einsum("umc,ucd->umd", _input_at_points(b, x, places), kernel)
        y = einsum("vu,umd->vmd", a, product).reshape(*_step(places), x.shape[0], *_tiles(places), w.shape[3])
        return (_joined(y)[:, : places.output[0], : places.output[1]],)

    return map_pieces(outputs_of, _pieces(x.shape[0], w.shape, places), x)[0]


def input_cotangent(
    y_bar: Float[Array, "n ho wo d"], w: Float[Array, "kh kw c d"], places: Window
) -> Float[Array, "n h w c"]:
    """x̄ (N, H, W, C), in the dtype sums are formed in."""
    a, g, b = _matrices(places, accumulation_dtype(y_bar.dtype))
    kernel, ((top, _), (left, _)) = _kernel_at_points(g, w), places.padding

    def inputs_of(y_bar):
        product = einsum("umd,ucd->umc", _cotangent_at_points(a, y_bar, places), kernel)
        tiles = einsum("ut,umc->tmc", b, product).reshape(*_size(places), len(y_bar), *_tiles(places), w.shape[2])
        for axis in (0, 1):
            tiles = _overlaps_added(tiles, axis, _step(places)[axis])
        return (_joined(tiles)[:, top : top + places.input[0], left : left + places.input[1]],)

    return map_pieces(inputs_of, _pieces(y_bar.shape[0], w.shape, places), y_bar)[0]


def weight_cotangent(
    x: Float[Array, "n h w c"], y_bar: Float[Array, "n ho wo d"], places: Window
) -> Float[Array, "kh kw c d"]:
    """w̄ (kh, kw, C, D), in the dtype sums are formed in."""
    a, g, b = _matrices(places, accumulation_dtype(x.dtype))
    shape = (*places.size, x.shape[3], y_bar.shape[3])

    def products_of(x, y_bar):
        return einsum("umc,umd->ucd", _input_at_points(b, x, places), _cotangent_at_points(a, y_bar, places))

    product = sum_pieces(products_of, _pieces(x.shape[0], shape, places), x, y_bar)
    return einsum("ut,ucd->tcd", g, product).reshape(shape)


def _pieces(n: int, kernel: tuple[int, ...], places: Window) -> int:
    """How many pieces the batch is taken in."""
    numbers = math.prod(_size(places) + _tiles(places)) * (kernel[2] + kernel[3])
    return pieces_that_fit(n, 4 * numbers, PIECE_BYTES)


def _kernel_at_points(g, w):
    """G W: (n², C, D)."""
    return einsum("ut,tcd->ucd", g, w.astype(g.dtype).reshape(-1, *w.shape[2:]))


def _input_at_points(b, x, places: Window):
    """B X: (n², tiles, C)."""
    before = (places.padding[0][0], places.padding[1][0])
    return einsum("ut,tmc->umc", b, _cut(x.astype(b.dtype), _size(places), before, places))


def _cotangent_at_points(a, y_bar, places: Window):
    """Aᵀ Ȳ: (n², tiles, D)."""
    return einsum("vu,vmd->umd", a, _cut(y_bar.astype(a.dtype), _step(places), (0, 0), places))


def _size(places: Window) -> Pair:
    """n on either axis."""
    return _size_of_axis(places.size[0]), _size_of_axis(places.size[1])


def _size_of_axis(taps: int) -> int:
    return 4 if taps <= 3 else 6


def _step(places: Window) -> Pair:
    """m on either axis."""
    (n_rows, n_columns), (k_rows, k_columns) = _size(places), places.size
    return n_rows - k_rows + 1, n_columns - k_columns + 1


def _tiles(places: Window) -> Pair:
    """How many tiles either axis has; the last may reach beyond."""
    (rows, columns), (m_rows, m_columns) = places.output, _step(places)
    return -(-rows // m_rows), -(-columns // m_columns)


def _matrices(places: Window, dtype) -> tuple[Array, Array, Array]:
    """A (m², n²), G (n², k²) and B (n², n²), where m², n², k² have a factor of either axis."""
    of_rows, of_columns = (_matrices_of_axis(taps) for taps in places.size)
    a, g, b = (
        jnp.asarray([[p * q for p in row for q in column] for row in rows for column in columns], dtype)
        for rows, columns in zip(of_rows, of_columns, strict=True)
    )
    return a, g, b


def _matrices_of_axis(taps: int) -> tuple[list[list[float]], list[list[float]], list[list[float]]]:
    """V_mᵀ, V_k and V_n⁻ᵀ. The rows of the last are Lagrange's polynomials, 1 at a point and 0 at the others, and for
    ∞ the one that is 0 at all of them."""
    n = _size_of_axis(taps)
    points = POINTS[n]

    def powers(count: int) -> list[list[float]]:  # V of as many columns
        return [[float(z) ** i for i in range(count)] for z in points] + [[0.0] * (count - 1) + [1.0]]

    def with_zeros_at(roots) -> list[float]:
        coefficients = [1.0]
        for root in roots:
            coefficients = [a - root * b for a, b in zip([0.0, *coefficients], [*coefficients, 0.0], strict=True)]
        return coefficients

    inverse = []
    for z in points:
        others = [v for v in points if v != z]
        there = math.prod(z - v for v in others)
        inverse.append([c / there for c in with_zeros_at(others)] + [0.0])
    inverse.append(with_zeros_at(points))
    return [list(row) for row in zip(*powers(n - taps + 1), strict=True)], powers(taps), inverse


def _cut(x, size: Pair, before: Pair, places: Window):
    """Tiles of `size`, a step apart, with zeros `before` x and as many as are needed after: (size², tiles, C)."""
    edges, spans = [(0, 0, 0)], []
    for extent, high, low, step, count in zip(x.shape[1:3], size, before, _step(places), _tiles(places), strict=True):
        spans.append(step * (count - 1) + 1)
        edges.append((low, spans[-1] + high - 1 - low - extent, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), (*edges, (0, 0, 0)))
    m_rows, m_columns = _step(places)
    # Columns first, then rows: 2n slices to compile and not n².
    columns = jnp.stack([x[:, :, j : j + spans[1] : m_columns] for j in range(size[1])])
    rows = jnp.stack([columns[:, :, i : i + spans[0] : m_rows] for i in range(size[0])])
    return rows.reshape(size[0] * size[1], -1, x.shape[3])


def _joined(tiles):
    """Tiles (m, m, N, rows, columns, C), side by side: (N, m·rows, m·columns, C)."""
    m_rows, m_columns, n, rows, columns, channels = tiles.shape
    return tiles.transpose(2, 3, 0, 4, 1, 5).reshape(n, m_rows * rows, m_columns * columns, channels)


def _overlaps_added(tiles, axis: int, step: int):
    """Tiles a `step` apart that overlap along `axis`, made into more tiles of just a step: entry step·q + a of tile t
    is entry a of tile t + q."""

    def widened(array, along: int, low: int, high: int):
        edges = [(0, 0, 0)] * array.ndim
        edges[along] = (low, high, 0)
        return lax.pad(array, jnp.zeros((), array.dtype), edges)

    shifts = -(-tiles.shape[axis] // step)
    parts = jnp.split(widened(tiles, axis, 0, shifts * step - tiles.shape[axis]), shifts, axis)
    return functools.reduce(operator.add, (widened(p, axis + 3, q, shifts - 1 - q) for q, p in enumerate(parts)))
