"""Convolution a block of outputs at a time: the CPU's form for thin kernels, such as those over grey images.

Read B neighbouring outputs of a row, p = B·P + q, as one with B·D channels, and s·B neighbouring columns of the padded
input, v = s·B·V + a, as one with s·B·C. Output q of block P reads with tap j column s·p + δ·j, which is entry
s·q + δ·j − s·B·J of block V = P + J; so this is a convolution again, over blocks, and T its kernel:

    y[n, o, P, (q, d)] = Σ_{i, J, a, c} x[n, s·o + δ·i − top, P + J, (a, c)] T[i, J, (a, c), (q, d)]

    T[i, J, (a, c), (q, d)] = w[i, j, c, d]  where s·B·J + a = s·q + δ·j for some tap j, else 0

w stands in T once for every q, so that its cotangent is the sum of theirs,

    w̄[i, j, c, d] = Σ_q T̄[i, J, (a, c), (q, d)]        s·B·J + a = s·q + δ·j

and x̄, for stride 1 the convolution of ȳ with the kernel turned by 180°, is taken in blocks as y is.

No number moves, for neighbours lie side by side as it is. T has 1 + (B − 1)/kw times as many entries as count, a sixth
more for five taps and B = 2; but XLA's convolution gathers B·C numbers at once and makes B·D, where of a few it spends
its time on gathering single ones and leaves most of a vector register empty.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.geometry import Window
from purecnn.layers.patches import im2col
from purecnn.layers.products import matmul


def forward(
    convolution: Callable[..., Array], x: Float[Array, "n h w c"], w: Float[Array, "kh kw c d"], places: Window
) -> Float[Array, "n ho wo d"]:
    """y (N, Ho, Wo, D), in the dtype sums are formed in; `convolution` is that of (x, kernel, places, groups)."""
    block = _block(w.shape[2], w.shape[3])
    y = convolution(_of_input(x, places, block), _banded(w, places, block), places.in_blocks(block), 1)
    return y.reshape(*y.shape[:2], block * y.shape[2], w.shape[3])[:, :, : places.output[1]]


def input_cotangent(
    convolution: Callable[..., Array], y_bar: Float[Array, "n ho wo d"], w: Float[Array, "kh kw c d"], places: Window
) -> Float[Array, "n h w c"]:
    """x̄ (N, H, W, C), in the dtype sums are formed in, for stride 1."""
    return forward(convolution, y_bar, w[::-1, ::-1].transpose(0, 1, 3, 2), places.turned())


def weight_cotangent(
    x: Float[Array, "n h w c"], y_bar: Float[Array, "n ho wo d"], places: Window
) -> Float[Array, "kh kw c d"]:
    """w̄ (kh, kw, C, D), in the dtype sums are formed in."""
    channels, outputs = x.shape[3], y_bar.shape[3]
    block, (kh, kw) = _block(channels, outputs), places.size
    over = places.in_blocks(block)
    options = {"stride": over.stride, "padding": over.padding, "dilation": over.dilation}
    patches = im2col(_of_input(x, places, block), over.size, **options)
    patches = patches.reshape(-1, patches.shape[3])
    banded = matmul(patches.T, _of_output(y_bar, block).reshape(-1, block * outputs))
    banded = banded.reshape(kh, -1, channels, block, outputs)
    step, gap = places.stride[1], places.dilation[1]
    reach = gap * (kw - 1) + 1
    return functools.reduce(operator.add, (banded[:, step * q : step * q + reach : gap, :, q] for q in range(block)))


def _block(channels: int, outputs: int) -> int:
    """B: more where a column of x and one of y have fewer numbers."""
    return 4 if channels * outputs <= 32 else 2


def _of_input(x, places: Window, block: int):
    """(N, H, blocks, s·B·C)."""
    left, blocks = places.padding[1][0], places.in_blocks(block).input[1]
    step = places.stride[1] * block
    columns = _widened(x, left, blocks * step - left - places.input[1])
    return columns.reshape(*x.shape[:2], blocks, step * x.shape[3])


def _of_output(y_bar, block: int):
    """(N, Ho, blocks, B·D)."""
    blocks = -(-y_bar.shape[2] // block)
    columns = _widened(y_bar, 0, blocks * block - y_bar.shape[2])
    return columns.reshape(*y_bar.shape[:2], blocks, block * y_bar.shape[3])


def _widened(array, low: int, high: int):
    """Columns of zeros before and after; negative counts cut columns off."""
    return lax.pad(array, jnp.zeros((), array.dtype), ((0, 0, 0), (0, 0, 0), (low, high, 0), (0, 0, 0)))


def _banded(w, places: Window, block: int):
    """T: (kh, blocks, s·B·C, B·D)."""
    (kh, kw), (_, step), (_, gap) = places.size, places.stride, places.dilation
    blocks = places.in_blocks(block).size[1]
    wide = blocks * step * block - gap * (kw - 1) - 1

    def band(q: int):
        edges = ((0, 0, 0), (step * q, wide - step * q, gap - 1), (0, 0, 0), (0, 0, 0))
        return lax.pad(w, jnp.zeros((), w.dtype), edges)

    bands = jnp.stack([band(q) for q in range(block)], axis=3)
    return bands.reshape(kh, blocks, step * block * w.shape[2], block * w.shape[3])
