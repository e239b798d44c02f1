"""w̄ of many groups as one batched matrix product per kernel offset.

    w̄[i, j, c, (g, d)] = Σ_{n, o, p} x[n, s·o + δ·i − top, s·p + δ·j − left, (g, c)] ȳ[n, o, p, (g, d)]

is, for each offset (i, j), a product of the input there with ȳ in every group g. The page has a convolution for each
group instead, which of hundreds (a depthwise layer has one a channel) compile for minutes. On one GPU
`conv_wgrad_grouped` takes a tenth to a third of its time.
"""

from __future__ import annotations

import jax.numpy as jnp

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.offsets import read_offsets


def unknown(dims: ConvDims) -> str:
    """Why the kernel does not support this convolution; it supports all."""
    return ""


def weight_cotangent(x, y_bar, dims: ConvDims) -> Array:
    """w̄ (kh, kw, C/groups, D)."""

    def in_groups(a):
        return a.reshape(*a.shape[:3], dims.groups, a.shape[3] // dims.groups)

    outputs = in_groups(y_bar)
    products = [jnp.einsum("nopgc,nopgd->cgd", in_groups(entry), outputs) for entry in read_offsets(x, dims)]
    return jnp.stack(products).reshape(*dims.size, dims.in_channels // dims.groups, dims.out_channels)
