"""Convolution by minimal filtering (Winograd, 1980; for networks: Lavin and Gray, 2015): the CPU's form for many channels.

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

x̄ is the same with the kernel turned (lecture row 12). w̄ follows W back through M and G:

    W̄ = Gᵀ M̄        M̄[u, c, d] = Σ_tiles (B X)[u, tile, c] (Aᵀ Ȳ)[u, tile, d]

Rounding: up to 3 taps the points are 0, 1, −1, ∞, all coefficients 0, ±1 and ±1/2, small integers stay exact, and sums
of 384 channels err 1.5 times as much as summed directly. With 4 and 5 taps −1/2 and 2 come in, and they err 7 times as
much: 2e-6 of y's standard deviation.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.arguments import accumulation_dtype
from purecnn.geometry import Pair, Window
from purecnn.layers.products import einsum

POINTS = {4: (0, 1, -1), 6: (0, 1, -1, -0.5, 2)}  # by n, and ∞
LONGEST = 5  # taps


def fits(places: Window, groups: int) -> bool:
    """Whether the form knows this convolution: neighbouring windows, taps without gaps, one group."""
    return places.stride == places.dilation == (1, 1) and max(places.size) <= LONGEST and groups == 1


def products_saved(places: Window) -> float:
    """How many times fewer products than the sums have; zeros that fill up the last tiles count."""
    tiles = (_tile(k) * _tiles(o, k) for k, o in zip(places.size, places.output, strict=True))
    return math.prod(places.size) * math.prod(places.output) / math.prod(tiles)


def forward(x: Float[Array, "n h w c"], w: Float[Array, "kh kw c d"], places: Window) -> Float[Array, "n ho wo d"]:
    """y (N, Ho, Wo, D), in the dtype sums are formed in."""
    return _correlation(x, w, places.padding, places.output)


def input_cotangent(
    y_bar: Float[Array, "n ho wo d"], w: Float[Array, "kh kw c d"], places: Window
) -> Float[Array, "n h w c"]:
    """x̄ (N, H, W, C), in the dtype sums are formed in."""
    return _correlation(y_bar, w[::-1, ::-1].swapaxes(2, 3), places.transposed_padding, places.input)


def weight_cotangent(
    x: Float[Array, "n h w c"], y_bar: Float[Array, "n ho wo d"], places: Window
) -> Float[Array, "kh kw c d"]:
    """w̄ (kh, kw, C, D), in the dtype sums are formed in."""
    wide = accumulation_dtype(x.dtype)
    a, g, b = _matrices(places.size, wide)
    steps = _steps(places.size)
    seen = einsum("ut,tmc->umc", b, _cut(x.astype(wide), places.size, steps, places.padding, places.output))
    wanted = einsum("vu,vmd->umd", a, _cut(y_bar.astype(wide), (1, 1), steps, ((0, 0), (0, 0)), places.output))
    w_bar = einsum("ut,ucd->tcd", g, einsum("umc,umd->ucd", seen, wanted))
    return w_bar.reshape(*places.size, x.shape[3], y_bar.shape[3])


def _correlation(x, w, padding: tuple[Pair, Pair], output: Pair):
    """The module's Y, put together to (N, Ho, Wo, D)."""
    wide, (kh, kw, channels, outputs) = accumulation_dtype(x.dtype), w.shape
    a, g, b = _matrices((kh, kw), wide)
    kernel = einsum("ut,tcd->ucd", g, w.astype(wide).reshape(kh * kw, channels, outputs))
    seen = einsum("ut,tmc->umc", b, _cut(x.astype(wide), (kh, kw), _steps((kh, kw)), padding, output))
    y = einsum("vu,umd->vmd", a, einsum("umc,ucd->umd", seen, kernel))
    (m_rows, m_cols), (rows, cols) = _steps((kh, kw)), (_tiles(output[0], kh), _tiles(output[1], kw))
    y = y.reshape(m_rows, m_cols, -1, rows, cols, outputs).transpose(2, 3, 0, 4, 1, 5)
    return y.reshape(-1, rows * m_rows, cols * m_cols, outputs)[:, : output[0], : output[1]]


def _tile(taps: int) -> int:
    """n: entries of the input that a tile reads along an axis."""
    return 4 if taps <= 3 else 6


def _steps(size: Pair) -> Pair:
    """m: outputs of a tile along each axis, and how far apart tiles are."""
    return _tile(size[0]) - size[0] + 1, _tile(size[1]) - size[1] + 1


def _tiles(outputs: int, taps: int) -> int:
    """How many tiles an axis has; the last may reach beyond."""
    return -(-outputs // (_tile(taps) - taps + 1))


def _matrices(size: Pair, dtype) -> tuple[Array, Array, Array]:
    """A (m², n²), G (n², k²) and B (n², n²), m, n and k being of either axis."""
    of_rows, of_columns = (_matrices_of_axis(taps) for taps in size)
    a, g, b = (jnp.asarray(np.kron(*pair), dtype) for pair in zip(of_rows, of_columns, strict=True))
    return a, g, b


def _matrices_of_axis(taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = _tile(taps)

    def powers(count: int) -> np.ndarray:
        finite = np.vander(np.array(POINTS[n], float), count, increasing=True)
        return np.concatenate([finite, np.eye(count)[-1:]])

    return powers(n - taps + 1).T, powers(taps), np.linalg.inv(powers(n)).T


def _cut(x, overlap: Pair, steps: Pair, padding: tuple[Pair, Pair], output: Pair):
    """Tiles of x, steps + overlap − 1 entries along each axis, place in the tile first: (places, tiles, C)."""
    edges, tiles = [(0, 0, 0)], []
    for taps, step, (low, _), extent, outputs in zip(overlap, steps, padding, x.shape[1:3], output, strict=True):
        tiles.append(-(-outputs // step))
        edges.append((low, tiles[-1] * step + taps - 1 - extent - low, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), (*edges, (0, 0, 0)))
    reach = [step * (count - 1) + 1 for step, count in zip(steps, tiles, strict=True)]
    # Columns first, then rows: 2n slices to compile and not n².
    columns = jnp.stack([x[:, :, j : j + reach[1] : steps[1]] for j in range(steps[1] + overlap[1] - 1)])
    cut = jnp.stack([columns[:, :, i : i + reach[0] : steps[0]] for i in range(steps[0] + overlap[0] - 1)])
    return cut.reshape(cut.shape[0] * cut.shape[1], -1, x.shape[3])
