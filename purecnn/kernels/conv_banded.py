"""Convolution with few channels on a CPU: space-to-depth along W, under a banded (Toeplitz) kernel.

Read B neighbouring outputs of a row, p = B·P + q, as one with B·D channels, and s·B neighbouring columns of the padded
input, v = s·B·V + a, as one with s·B·C. Output q of P reads at offset j column s·p + δ·j, which is entry
s·q + δ·j − s·B·J of V = P + J; so this is a convolution again, with the banded kernel T:

    y[n, o, P, (q, d)] = Σ_{i, J, a, c} x[n, s·o + δ·i − top, P + J, (a, c)] T[i, J, (a, c), (q, d)]

    T[i, J, (a, c), (q, d)] = w[i, j, c, d]  where s·B·J + a = s·q + δ·j for some offset j, else 0

x̄, for stride 1 the convolution of ȳ with the flipped kernel, is taken as y is.

No entry moves, for neighbours are adjacent in memory. T has 1 + (B − 1)/kw times as many entries as count, a sixth more
for five offsets and B = 2; but XLA:CPU's convolution reads B·C numbers at once and makes B·D, where of a few it gathers
single ones and leaves most of a vector register empty. y of LeNet's layers takes 0.2 and 0.5 of the page's time, x̄ of
its second 0.6, and y of colour images to 32 channels 0.2.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.ops import convolution


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not support this convolution; "" if it does."""
    return "" if dims.stride == (1, 1) and dims.groups == 1 else "stride 1 and 1 group"


def forward(x, w, dims: ConvDims) -> Array:
    """y (N, Ho, Wo, D), for any stride and one group."""
    over = _to_depth(dims)
    options = {"stride": over.stride, "padding": over.padding, "w_dilation": over.dilation}
    y = convolution(_input_to_depth(x, dims), _banded(w, dims), **options)
    return y.reshape(*y.shape[:2], over.output[1] * _block(dims), dims.out_channels)[:, :, : dims.output[1]]


def input_cotangent(y_bar, w, dims: ConvDims) -> Array:
    """x̄ (N, H, W, C), for stride 1."""
    return forward(y_bar, lax.rev(w, (0, 1)).transpose(0, 1, 3, 2), dims.transposed())


def _block(dims: ConvDims) -> int:
    """B: more where a column of x and one of y have fewer numbers."""
    return 4 if dims.in_channels * dims.out_channels <= 32 else 2


def _to_depth(dims: ConvDims) -> ConvDims:
    """The convolution over blocks of columns: P of the output sees V = P, P + 1, … of the input."""
    (_, stride), (_, dilation), block = dims.stride, dims.dilation, _block(dims)
    size = (stride * (block - 1) + dilation * (dims.size[1] - 1)) // (stride * block) + 1
    blocks = -(-dims.output[1] // block)
    return dataclasses.replace(
        dims,
        input=(dims.input[0], blocks + size - 1),
        size=(dims.size[0], size),
        stride=(dims.stride[0], 1),
        dilation=(dims.dilation[0], 1),
        padding=(dims.padding[0], (0, 0)),
        output=(dims.output[0], blocks),
        in_channels=dims.in_channels * stride * block,
        out_channels=dims.out_channels * block,
    )


def _input_to_depth(x, dims: ConvDims):
    """(N, H, V, s·B·C)."""
    left, over = dims.padding[1][0], _to_depth(dims)
    columns = over.input[1] * over.in_channels // dims.in_channels
    padded = _padded_columns(x, left, columns - left - dims.input[1])
    return padded.reshape(*x.shape[:2], over.input[1], over.in_channels)


def _padded_columns(array, low: int, high: int):
    """Columns of zeros before and after; negative counts cut columns off."""
    return lax.pad(array, jnp.zeros((), array.dtype), ((0, 0, 0), (0, 0, 0), (low, high, 0), (0, 0, 0)))


def _banded(w, dims: ConvDims):
    """T: (kh, J, s·B·C, B·D)."""
    (_, stride), (_, dilation), block, over = dims.stride, dims.dilation, _block(dims), _to_depth(dims)
    room = over.size[1] * stride * block - dilation * (dims.size[1] - 1) - 1

    def band(q: int):
        edges = ((0, 0, 0), (stride * q, room - stride * q, dilation - 1), (0, 0, 0), (0, 0, 0))
        return lax.pad(w, jnp.zeros((), w.dtype), edges)

    bands = jnp.stack([band(q) for q in range(block)], axis=3)
    return bands.reshape(*over.size, over.in_channels, over.out_channels)
