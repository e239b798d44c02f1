"""w̄ of a convolution in groups as one grouped convolution, for one GPU or TPU: XLA calls it batch groups.

The page has a convolution for every group. In one, C/groups still counts images, each group with ȳ's channels of its own,

    w̄[i, j, c, (g, d)] = Σ_{n, o, p} x[n, s·o + δ·i − top, s·p + δ·j − left, (g, c)] ȳ[n, o, p, (g, d)]

and cuDNN has a kernel for it. XLA takes that kernel where ȳ, which is the convolution's kernel here, is larger than w̄
along one axis at least; a ȳ of at most k rows gets rows of zeros until it is.
"""

from __future__ import annotations

import jax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.ops import convolution


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not know this convolution; "" if it does."""
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
