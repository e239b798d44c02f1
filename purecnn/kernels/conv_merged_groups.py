"""A convolution in groups of few channels as one in fewer, wider groups, on a GPU or TPU: block-diagonal kernels.

A matrix unit multiplies blocks of 16 channels and more at a time, and a group of 4 leaves it nearly empty. m groups of
c channels each, side by side, become one of m·c, whose kernel couples a channel to those of its own group alone:

    W[i, j, (g', c), (K, g, d)] = w[i, j, c, (K, g, d)] if g' = g, else 0        K the wide group, g and g' within it

y and x̄ are those of W, for the products with zeros add nothing, and w̄ are the diagonal blocks of W̄. There are m times
as many products, on a unit that has them free. A non-finite input gives NaN in all groups that share its wide group.

ResNeXt's 3×3 layers have such groups. On an H200 in bfloat16, groups of 4 and 8 channels merged to 64 took 0.63 and
0.78 of autodiff's time in a trial of this form (`docs/speed.md`), cuDNN's convolution in groups 1.0.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.ops import convolution, swap_groups

CHANNELS = 64  # of a wide group, on the side that has more


def merged(dims: ConvDims) -> ConvDims:
    """The same layer in wide groups: as many neighbours each as CHANNELS hold and the number of groups allows."""
    widest = max(dims.in_channels, dims.out_channels) // dims.groups
    together = next((m for m in range(CHANNELS // widest, 1, -1) if dims.groups % m == 0), 1)
    return dataclasses.replace(dims, groups=dims.groups // together)


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not support this convolution; "" if it does."""
    if merged(dims).groups == dims.groups:
        return f"several groups that have at most {CHANNELS} channels together"
    return "" if jax.device_count() == 1 else "one device (on several XLA may add the devices' sums of w̄ twice)"


def forward(x, w, dims: ConvDims) -> Array:
    """y (N, Ho, Wo, D)."""
    options = {"stride": dims.stride, "padding": dims.padding, "w_dilation": dims.dilation}
    return convolution(x, _block_diagonal(w, dims), feature_groups=merged(dims).groups, **options)


def input_cotangent(y_bar, w, dims: ConvDims) -> Array:
    """x̄ (N, H, W, C)."""
    groups = merged(dims).groups
    return convolution(
        y_bar,
        lax.rev(swap_groups(_block_diagonal(w, dims), groups), (0, 1)),
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
        padding=dims.transposed_padding,
        x_dilation=dims.stride,
        w_dilation=dims.dilation,
        feature_groups=groups,
    )


def weight_cotangent(x, y_bar, dims: ConvDims) -> Array:
    """w̄ (kh, kw, C/groups, D), for one device alone (`ops.convolution`)."""
    w_bar = convolution(
        x,
        y_bar,
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
        stride=dims.dilation,
        padding=dims.correlation_padding,
        w_dilation=dims.stride,
        batch_groups=merged(dims).groups,
    )
    blocks = w_bar.reshape(*dims.size, *_blocks(dims))
    return jnp.where(_diagonal(dims), blocks, 0).sum(axis=2).reshape(*dims.size, -1, dims.out_channels)


def _block_diagonal(w, dims: ConvDims) -> Array:
    """W (kh, kw, m·C/groups, D)."""
    _, channels, *outputs = _blocks(dims)
    blocks = jnp.where(_diagonal(dims), w.reshape(*dims.size, 1, channels, *outputs), 0)
    return blocks.reshape(*dims.size, -1, dims.out_channels)


def _blocks(dims: ConvDims) -> tuple[int, ...]:
    """(g', c, K, g, d): W's channels as those of the group that reads and the group that writes."""
    wide = merged(dims).groups
    together = dims.groups // wide
    return together, dims.in_channels // dims.groups, wide, together, dims.out_channels // dims.groups


def _diagonal(dims: ConvDims) -> Array:
    """Where g' = g."""
    together = _blocks(dims)[0]
    return jnp.eye(together, dtype=bool)[:, None, None, :, None]
