"""Convolution a block of outputs at a time: the CPU's form for thin kernels, such as those over grey images.

B neighbouring outputs of a row, taken as one vector of B·D, see the same V = s(B−1) + δ(kw−1) + 1 columns of kh rows.
With X the matrix of these, one row per block m, convolution is a product with the kernel as a *banded* matrix T:

    Y[m, (q, d)] = Σ_{i, v, c} X[m, (i, v, c)] T[(i, v, c), (q, d)]        T[(i, v, c), (q, d)] = w[i, j, c, d]
                                                                           where v = s·q + δ·j for some tap j, else 0

    X̄ = Ȳ Tᵀ        x̄ is the sum of what X̄ has of each entry               X has copies of it, in rows and in blocks
    T̄ = Xᵀ Ȳ        w̄[i, j, c, d] = Σ_q T̄[(i, s·q + δ·j, c), (q, d)]      w stands in T once for every q

B = 1 is im2col. A larger B copies a column V/B times instead of kw times and makes wide matrices of narrow ones. For
that it multiplies by zeros, V/kw products for every one that counts; with few channels the copies take the time.
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.geometry import Window
from purecnn.layers.products import matmul

WIDEST = 8  # outputs in a block, at most


def forward(x: Float[Array, "n h w c"], w: Float[Array, "kh kw c d"], places: Window) -> Float[Array, "n ho wo d"]:
    """y (N, Ho, Wo, D), in the dtype sums are formed in."""
    stretches, banded = lax.optimization_barrier((_stretches(x, places), _banded(w, places)))
    y = matmul(stretches, banded)
    return y.reshape(x.shape[0], *places.output, w.shape[3])


def input_cotangent(
    y_bar: Float[Array, "n ho wo d"], w: Float[Array, "kh kw c d"], places: Window
) -> Float[Array, "n h w c"]:
    """x̄ (N, H, W, C), in the dtype sums are formed in."""
    n, rows, _, outputs = y_bar.shape
    kh, block, blocks, channels = places.size[0], _block(places), blocks_in_a_row(places), w.shape[2]
    width = places.input[1] * channels
    stretches = matmul(y_bar.reshape(-1, block * outputs), _banded(w, places).T)
    stretches = stretches.reshape(n, rows, blocks, kh, stretches.shape[1] // kh)

    def laid_back(tap: int, q: int):
        """On the rows of x, and on a row's columns and channels as one axis: where the stretches of block q were."""
        low = (places.stride[1] * block * q - places.padding[1][0]) * channels
        edges = ((0, 0, 0), places.tap_pad((tap, 0))[1], (low, width - low - stretches.shape[4], 0))
        return lax.pad(stretches[:, :, q, tap], jnp.zeros((), stretches.dtype), edges)

    copies = (laid_back(tap, q) for tap in range(kh) for q in range(blocks))
    return functools.reduce(operator.add, copies).reshape(n, *places.input, channels)


def weight_cotangent(
    x: Float[Array, "n h w c"], y_bar: Float[Array, "n ho wo d"], places: Window
) -> Float[Array, "kh kw c d"]:
    """w̄ (kh, kw, C, D), in the dtype sums are formed in."""
    (kh, kw), block = places.size, _block(places)
    stretches = lax.optimization_barrier(_stretches(x, places))
    blocks = y_bar.reshape(-1, block * y_bar.shape[3])
    banded = matmul(stretches.T, blocks)
    banded = banded.reshape(kh, -1, x.shape[3], block, y_bar.shape[3])
    step, gap = places.stride[1], places.dilation[1]
    reach = gap * (kw - 1) + 1
    return functools.reduce(operator.add, (banded[:, step * q : step * q + reach : gap, :, q] for q in range(block)))


def blocks_in_a_row(places: Window) -> int:
    return places.output[1] // _block(places)


def _block(places: Window) -> int:
    """B: the largest divisor of the outputs of a row that is not too wide."""
    return max(k for k in range(1, WIDEST + 1) if places.output[1] % k == 0)


def _stretches(x, places: Window):
    """X: (N·Ho·Wo/B, kh·V·C)."""
    block, (_, step), (gap_rows, gap) = _block(places), places.stride, places.dilation
    x = lax.pad(x, jnp.zeros((), x.dtype), places.input_pad)
    n, rows, columns, channels = x.shape
    x = x.reshape(n, rows, columns * channels)
    wide = (step * (block - 1) + gap * (places.size[1] - 1) + 1) * channels
    starts = [step * q * channels for q in range(0, places.output[1], block)]
    stretches = jnp.stack([x[:, :, start : start + wide] for start in starts], axis=2)
    reach = places.stride[0] * (places.output[0] - 1) + 1
    taps = [stretches[:, gap_rows * i : gap_rows * i + reach : places.stride[0]] for i in range(places.size[0])]
    return jnp.concatenate(taps, axis=3).reshape(-1, places.size[0] * wide)


def _banded(w, places: Window):
    """T: (kh·V·C, B·D)."""
    block, step, gap = _block(places), places.stride[1], places.dilation[1]
    edges = ((0, 0, 0), (0, 0, gap - 1), (0, 0, 0), (0, 0, 0))  # zeros between the taps of a row
    spread = lax.pad(w, jnp.zeros((), w.dtype), edges)
    bands = [jnp.pad(spread, ((0, 0), (step * q, step * (block - 1 - q)), (0, 0), (0, 0))) for q in range(block)]
    return jnp.stack(bands, axis=3).reshape(-1, block * w.shape[3])
