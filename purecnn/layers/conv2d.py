"""Convolution (lecture rows 11 to 13), in the sense of every CNN: a correlation, the kernel not flipped.

    y[n, o, p, d] = b[d] + Σ_{i, j, c} x[n, s·o + δ·i − top, s·p + δ·j − left, c] w[i, j, c, d]      (zero on padding)

with stride s and dilation δ (each per axis). Follow one product x·w of that sum to its output:

*Weights* (row 13). w[i, j, c, d] meets, at every output position (o, p), the input at kernel offset (i, j):

    w̄[i, j, c, d] = Σ_{n, o, p} x[n, s·o + δ·i − top, s·p + δ·j − left, c] ȳ[n, o, p, d]
    b̄[d] = Σ_{n, o, p} ȳ[n, o, p, d]

Read w̄ as an image of size (kh, kw): it is x correlated with ȳ. ȳ is the kernel, dilated by s; it moves by δ; the sum
runs over the samples n where y's ran over channels, and c counts images.

*Input* (row 12). Each y that saw x[h] through offset i has h = s·o + δ·i − top, and used w[i] for it:

    x̄[n, h, v, c] = Σ over (o, i), (p, j) with s·o + δ·i − top = h and s·p + δ·j − left = v, Σ_d
                     ȳ[n, o, p, d] w[i, j, c, d]

For s = 1 that is ȳ[h + top − δ·i] w[i]: as i grows the position in ȳ goes back, so it is again a correlation, with the
kernel flipped on both axes (rotated by 180°) and summed over output channels. For s > 1 put s − 1 zeros between the
entries of ȳ first.

Groups: input and output channels are split into as many equal parts, and part g of y sees part g of x alone; w is
(kh, kw, C/groups, D). All three equations hold part by part.

The lecture writes one image, x (H, W, C₁), a centred 3×3 kernel and "same" size: there top = left = 1.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
from jax import lax

from purecnn import ops
from purecnn.annotations import Array, Float
from purecnn.checks import require_choice, require_floats, require_rank, require_shape
from purecnn.geometry import ConvDims, Padding, Size2d, conv_dims
from purecnn.kernels import select
from purecnn.rules import rule, trilinear


@rule
def conv2d(
    x: Float[Array, "n h w c"],
    w: Float[Array, "kh kw cg d"],
    b: Float[Array, " d"] | None = None,
    *,
    stride: Size2d = 1,
    padding: Padding = "VALID",
    dilation: Size2d = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Float[Array, "n ho wo d"]:
    """Slide `w` over `x` and add `b`: the module's first equation.

    x (N, H, W, C), w (kh, kw, C/groups, D), b (D,) or None -> y (N, Ho, Wo, D), all of one floating dtype. 16-bit
    products accumulate in float32 and are rounded once, before b is added. `algorithm`: "xla" is the equations below;
    "im2col", "col2im", "banded", "depthwise", "space_to_depth", "merged_groups", "winograd", "wgrad_chunked",
    "wgrad_grouped", "wgrad_offsets" and "wgrad_pairs" are other ways to the same numbers (`purecnn.kernels`); "auto" is
    the fastest known for shape and platform. Linear in each argument, so no kinks. Residuals: x, w, b (b only tells
    whether there is one). Raises ValueError or TypeError for a wrong rank or dtype, channels or groups that do not fit,
    a window larger than the padded input, an unknown option, or an algorithm that does not support this convolution.
    """
    dims = _dims(x, w, b, stride, padding, dilation, groups, algorithm)
    y = select.forward(algorithm, dims, forward)(x, w, dims)
    return y if b is None else y + b[None, None, None, :]


@conv2d.def_fwd
def conv2d_fwd(x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    """y and its residuals (x, w, b)."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    return conv2d(x, w, b, **options), (x, w, b)


@conv2d.def_bwd
def conv2d_bwd(residuals, y_bar, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    """x̄ (N, H, W, C), w̄ (kh, kw, C/groups, D), b̄ (D,) or None, from ȳ (N, Ho, Wo, D)."""
    x, w, b = residuals
    dims = _dims(x, w, b, stride, padding, dilation, groups, algorithm)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    x_bar, w_bar = trilinear(
        functools.partial(conv2d, **options),
        functools.partial(select.input_cotangent(algorithm, dims, input_cotangent), dims=dims),
        functools.partial(select.weight_cotangent(algorithm, dims, weight_cotangent), dims=dims),
    )
    return x_bar(y_bar, w), w_bar(x, y_bar), None if b is None else ops.sum_to_channels(y_bar).astype(b.dtype)


def forward(x, w, dims: ConvDims):
    """y = conv(x, w)."""
    return ops.convolution(
        x, w, stride=dims.stride, padding=dims.padding, w_dilation=dims.dilation, feature_groups=dims.groups
    )


def input_cotangent(y_bar, w, dims: ConvDims):
    """x̄ = conv(ȳ, w flipped), from D channels to C: "HWOI" names w's last two axes so."""
    return ops.convolution(
        y_bar,
        lax.rev(ops.swap_groups(w, dims.groups), (0, 1)),
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
        padding=dims.transposed_padding,
        x_dilation=dims.stride,
        w_dilation=dims.dilation,
        feature_groups=dims.groups,
    )


def weight_cotangent(x, y_bar, dims: ConvDims):
    """w̄ = conv(x, ȳ) for each group: C counts images, N is summed over, and the result has kh × kw positions."""
    options = {"stride": dims.dilation, "padding": dims.correlation_padding, "w_dilation": dims.stride}
    numbers = ("CHWN", "IHWO", "HWNC")
    parts = zip(jnp.split(x, dims.groups, axis=3), jnp.split(y_bar, dims.groups, axis=3), strict=True)
    return jnp.concatenate([ops.convolution(*part, dimension_numbers=numbers, **options) for part in parts], axis=3)


def _dims(x, w, b, stride, padding, dilation, groups, algorithm) -> ConvDims:
    require_floats("conv2d", x=x, w=w, b=b)
    require_rank("conv2d", "N H W C", x=x)
    require_rank("conv2d", "kh kw C/groups D", w=w)
    require_choice("conv2d", "algorithm", algorithm, select.ALGORITHMS)
    if b is not None:
        require_shape("conv2d", (w.shape[3],), "one per output channel", b=b)
    return conv_dims("conv2d", x.shape, w.shape, stride=stride, padding=padding, dilation=dilation, groups=groups)
