"""w̄ of a depthwise convolution over few positions: products of all pairs of positions, for one GPU or TPU.

Each channel's sums over the images are one matrix product, of its H·W positions of x with its Ho·Wo of ȳ,

    G[h, w, o, p] = Σ_n x[n, h, w] ȳ[n, o, p]

and w̄ adds the pairs that are as far apart as the kernel offset says:

    w̄[i, j] = Σ_{o, p} G[s·o + δ·i − top, s·p + δ·j − left, o, p]        0 where x has no such position

which is a sum over ȳ's positions as kernel offsets of G. Of the products G needs, w̄ uses fewer than all, but a matrix
unit has them free. ConvNeXt's 7×7 kernels over (128, 7, 7, 768): two kernels of 34 MB in all, where sums over kernel
offsets (`conv_depthwise`) are 75 of 501 MB (compiled for an H200, run on none; those took 0.36 ms there).
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.offsets import read_offsets
from purecnn.ops import accumulation_dtype

POSITIONS = 64  # of x, and of ȳ: G has their product for every channel


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not support this convolution; "" if it does."""
    if dims.groups != dims.in_channels or max(math.prod(dims.input), math.prod(dims.output)) > POSITIONS:
        return f"one group per channel, at most {POSITIONS} positions of x and of y"
    return "" if jax.device_count() == 1 else "one device (several would exchange G, and not w̄)"


def weight_cotangent(x, y_bar, dims: ConvDims) -> Array:
    """w̄ (kh, kw, 1, D)."""
    positions = math.prod(dims.output)
    outputs = y_bar.reshape(dims.batch, positions, dims.in_channels, dims.out_channels // dims.in_channels)
    pairs = jnp.einsum("nhwc,nqcm->cmhwq", x, outputs, preferred_element_type=accumulation_dtype(x.dtype))
    over_outputs = dataclasses.replace(
        dims,
        size=dims.output,
        stride=dims.dilation,
        dilation=dims.stride,
        padding=dims.correlation_padding,
        output=dims.size,
    )
    entries = read_offsets(pairs.reshape(dims.out_channels, *dims.input, positions), over_outputs)
    w_bar = sum(entry[..., q] for q, entry in enumerate(entries))  # (D, kh, kw)
    return jnp.moveaxis(w_bar, 0, -1)[:, :, None].astype(x.dtype)
