"""w̄ of a convolution in groups as one grouped convolution, for one GPU or TPU: XLA calls it batch groups.

The page computes one convolution for each group. Here a group's input channels take the part of images, and the group's
channels of ȳ are its kernel:

    w̄[i, j, c, (g, d)] = Σ_{n, o, p} x[n, s·o + δ·i − top, s·p + δ·j − left, (g, c)] ȳ[n, o, p, (g, d)]

cuDNN has it as one kernel. On an H200 in bfloat16 w̄ of a depthwise 3×3 layer (256, 56, 56, 144) took 0.25 ms, and of
one with 32 groups (128, 56, 56, 128) 0.27, where sums over kernel offsets took 1.37 and 3.14. Where ȳ has no more
rows and columns than w̄, XLA takes another kernel: 2.1 ms for 7×7 over (128, 7, 7, 768), sums over offsets 0.36
(`conv_wgrad_pairs` is for these).
"""

from __future__ import annotations

import jax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.ops import convolution


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not support this convolution; "" if it does."""
    return "" if jax.device_count() == 1 else "one device (on several XLA may add the devices' sums twice)"


def weight_cotangent(x, y_bar, dims: ConvDims) -> Array:
    """w̄ (kh, kw, C/groups, D)."""
    return convolution(
        x,
        y_bar,
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
        stride=dims.dilation,
        padding=dims.correlation_padding,
        w_dilation=dims.stride,
        batch_groups=dims.groups,
    )
