"""Transposed convolution: `conv2d`'s input cotangent as a layer, from small images to large ones.

Let y_c(u, w), x̄_c(v, w) and w̄_c(u, v) be the three functions of `conv2d`: a convolution of u (N, Ho, Wo, D) with a
kernel w (kh, kw, D/groups, C), and its cotangents from v (N, H, W, C). Here

    y = x̄_c(x, w) + b        y[n, o, p, d] = b[d] + Σ over (h, i), (v, j) with s·h + δ·i − top = o and
                              s·v + δ·j − left = p, Σ_c x[n, h, v, c] w[i, j, d, c]

with stride s and dilation δ: every entry of x puts a copy of the kernel, times itself, into y at steps of s, and where
copies overlap they add up. `top` rows at the upper edge and `bottom` at the lower are cut off:

    Ho = s (H − 1) + δ (kh − 1) + 1 − top − bottom + output_padding

A convolution of stride s maps s different heights to the same H; `output_padding`, 0 … s − 1, chooses one of them. As
in PyTorch it may also be s … δ − 1, which adds rows that no copy reaches, as if x had rows of zeros at its lower edge.

*Input and weights.* Σ ȳ·x̄_c(x, w) = Σ y_c(ȳ, w)·x, because x̄_c is the transpose of y_c. The same sum is
Σ w̄_c(ȳ, x)·w, by the definition of w̄_c, with ȳ as the convolution's input and x as its output's cotangent:

    x̄ = y_c(ȳ, w)          w̄ = w̄_c(ȳ, x)          b̄[d] = Σ_{n, o, p} ȳ[n, o, p, d]

The backward rule of the transposed convolution is the convolution. No equation is new, and each is computed by
whichever kernel is the fastest for it (`purecnn.kernels`).
"""

from __future__ import annotations

import functools

import jax.numpy as jnp

from purecnn import ops
from purecnn.annotations import Array, Float
from purecnn.checks import require_choice, require_floats, require_rank, require_shape
from purecnn.geometry import ConvDims, Padding, Size2d, conv_dims, integer, padding_edges, pair
from purecnn.kernels import select
from purecnn.layers.conv2d import forward, input_cotangent, weight_cotangent
from purecnn.rules import rule, trilinear


@rule
def conv_transpose2d(
    x: Float[Array, "n h w c"],
    w: Float[Array, "kh kw dg c"],
    b: Float[Array, " d"] | None = None,
    *,
    stride: Size2d = 1,
    padding: Padding = "VALID",
    dilation: Size2d = 1,
    groups: int = 1,
    output_padding: Size2d = 0,
    algorithm: str = "auto",
) -> Float[Array, "n ho wo d"]:
    """Put a copy of `w`, times each entry of `x`, into y at steps of `stride`, and add `b`: the first equation.

    x (N, H, W, C), w (kh, kw, D/groups, C), b (D,) or None -> y (N, Ho, Wo, D), all of one floating dtype. `w` is the
    kernel of the convolution from y's shape to x's: PyTorch's (C, D/groups, kh, kw), axes in the order 2, 3, 1, 0.
    Sizes are as in PyTorch. `padding` is the convolution's and is cut off y: "VALID" is none, "SAME" gives s·H rows.
    16-bit products accumulate in float32 and are rounded once, before b is added. `algorithm` as in `conv2d`. Linear in
    each argument, so no kinks.
    Residuals: x, w, b (b only tells whether there is one). Raises ValueError or TypeError for a wrong rank or dtype,
    channels or groups that do not fit, an output_padding that is not below the stride or the dilation or is given with
    "SAME", a padding that cuts everything off, an unknown option, or an algorithm that does not support this
    convolution.
    """
    x, output_padding = _with_zeros(x, stride, padding, dilation, output_padding)
    dims = _dims(x, w, b, stride, padding, dilation, groups, output_padding, algorithm)
    y = select.input_cotangent(algorithm, dims, input_cotangent)(x, w, dims)
    return y if b is None else y + b[None, None, None, :]


@conv_transpose2d.def_fwd
def conv_transpose2d_fwd(
    x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, output_padding=0, algorithm="auto"
):
    """y and its residuals (x, w, b)."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return conv_transpose2d(x, w, b, **options, output_padding=output_padding, algorithm=algorithm), (x, w, b)


@conv_transpose2d.def_bwd
def conv_transpose2d_bwd(
    residuals, y_bar, *, stride=1, padding="VALID", dilation=1, groups=1, output_padding=0, algorithm="auto"
):
    """x̄ (N, H, W, C), w̄ (kh, kw, D/groups, C), b̄ (D,) or None, from ȳ (N, Ho, Wo, D)."""
    x, w, b = residuals
    size = x.shape[1:3]
    x, output_padding = _with_zeros(x, stride, padding, dilation, output_padding)
    dims = _dims(x, w, b, stride, padding, dilation, groups, output_padding, algorithm)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    convolution_w_bar = select.weight_cotangent(algorithm, dims, weight_cotangent)
    x_bar, w_bar = trilinear(
        functools.partial(conv_transpose2d, **options, output_padding=output_padding, algorithm=algorithm),
        functools.partial(select.forward(algorithm, dims, forward), dims=dims),
        lambda x, y_bar: convolution_w_bar(y_bar, x, dims=dims),
    )
    b_bar = None if b is None else ops.sum_to_channels(y_bar).astype(b.dtype)
    return _without_zeros(x_bar(y_bar, w), size), w_bar(x, y_bar), b_bar


def _with_zeros(x, stride, padding, dilation, output_padding):
    """x with rows and columns of zeros for whole strides of `output_padding`, and what is left of that: the same y."""
    layer = "conv_transpose2d"
    require_floats(layer, x=x)
    require_rank(layer, "N H W C", x=x)
    strides, dilations = pair(layer, "stride", stride), pair(layer, "dilation", dilation)
    extra = pair(layer, "output_padding", output_padding, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        expected = f"below the stride, {strides}, or the dilation, {dilations}"
        raise ValueError(f"{layer}: output_padding: got {extra}, expected {expected}")
    if padding == "SAME" and any(extra):
        raise ValueError(f'{layer}: output_padding: got {extra}, expected 0 beside padding="SAME"')
    (rows, low), (columns, right) = (divmod(e, s) for e, s in zip(extra, strides, strict=True))
    if rows or columns:
        x = jnp.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)))
    return x, (low, right)


def _without_zeros(x_bar, size):
    return x_bar if x_bar.shape[1:3] == size else x_bar[:, : size[0], : size[1]]


def _dims(x, w, b, stride, padding, dilation, groups, output_padding, algorithm) -> ConvDims:
    """The convolution whose input cotangent y is: from y's shape to x's."""
    layer = "conv_transpose2d"
    require_floats(layer, x=x, w=w, b=b)
    require_rank(layer, "kh kw D/groups C", w=w)
    require_choice(layer, "algorithm", algorithm, select.ALGORITHMS)
    if w.shape[3] != x.shape[3]:
        raise ValueError(f"{layer}: w: got shape {w.shape}, expected {x.shape[3]} on its last axis, the channels of x")
    if w.shape[3] % integer(layer, "groups", groups, 1):
        raise ValueError(f"{layer}: groups: got {groups}, expected a divisor of the {w.shape[3]} channels of x")
    out_channels = w.shape[2] * groups
    if b is not None:
        require_shape(layer, (out_channels,), "one per output channel", b=b)
    size = _output_size(layer, x.shape[1:3], w.shape[:2], stride, padding, dilation, output_padding)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    dims = conv_dims(layer, (x.shape[0], *size, out_channels), w.shape, **options)
    select.require_known(layer, algorithm, dims)
    return dims


def _output_size(layer, extents, size, stride, padding, dilation, extra):
    """(Ho, Wo) of the module's equation; s·H and s·W for "SAME"."""
    strides, dilations = pair(layer, "stride", stride), pair(layer, "dilation", dilation)
    covered = (dilations[0] * (size[0] - 1) + 1, dilations[1] * (size[1] - 1) + 1)
    if padding == "SAME":
        return [s * n for s, n in zip(strides, extents, strict=True)]
    cut = [sum(edge) for edge in padding_edges(layer, padding, extents, covered, strides)]
    sizes = [s * (n - 1) + c + e - p for n, s, c, e, p in zip(extents, strides, covered, extra, cut, strict=True)]
    if min(sizes) < 1:
        raise ValueError(f"{layer}: padding: got {padding}, which leaves {tuple(sizes)} of y, expected at least 1 row")
    return sizes
