"""Convolution (lecture rows 11 to 13), in the sense of every CNN: a correlation, the kernel not turned.

    y[n, o, p, d] = b[d] + Σ_{i, j, c} x[n, s·o + δ·i − top, s·p + δ·j − left, c] w[i, j, c, d]      (zero on padding)

with stride s and dilation δ (each per axis). Follow one product x·w of that sum to its output:

*Weights* (row 13). w[i, j, c, d] meets, at every place (o, p), the entry that tap (i, j) reads there:

    w̄[i, j, c, d] = Σ_{n, o, p} x[n, s·o + δ·i − top, s·p + δ·j − left, c] ȳ[n, o, p, d]
    b̄[d] = Σ_{n, o, p} ȳ[n, o, p, d]

so each tap's slice of w̄ is a matrix product of the inputs it read with ȳ.

*Input* (row 12). Each y that saw x[h] through tap i has h = s·o + δ·i − top, and used w[i] for it:

    x̄[n, h, v, c] = Σ over (o, i), (p, j) with s·o + δ·i − top = h and s·p + δ·j − left = v, Σ_d
                     ȳ[n, o, p, d] w[i, j, c, d]

For s = 1 that is ȳ[h + top − δ·i] w[i]: as i grows the place in ȳ goes back, so it is again a correlation, with the
kernel turned by 180° and summed over output channels. For s > 1 put s − 1 zeros between the entries of ȳ first.

Groups: input and output channels are split into as many equal parts, and part g of y sees part g of x alone; w is
(kh, kw, C/groups, D). All three equations hold part by part.

The lecture writes one image, x (H, W, C₁), a centred 3×3 kernel and "same" size: there top = left = 1.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from purecnn.annotations import Array, Float
from purecnn.arguments import accumulation_dtype, require_choice, require_floats, require_rank, require_shape
from purecnn.geometry import Padding, Size2d, Window, integer, window2d
from purecnn.layers import (
    convolution_blocks,
    convolution_choice,
    convolution_chunks,
    convolution_im2col,
    convolution_winograd,
)
from purecnn.layers.products import einsum
from purecnn.layers.taps import read_taps
from purecnn.rules import rule

NHWC = ("NHWC", "HWIO", "NHWC")


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

    x (N, H, W, C), w (kh, kw, C/groups, D), b (D,) or None -> y (N, Ho, Wo, D), all of one floating dtype; 16-bit
    products are summed in float32. `algorithm`: "direct" is the equations above; "im2col" is the lecture's row 15, the
    same numbers from matrix products over the patches; "blocks" takes several outputs of a row at a time; "winograd"
    saves products, and rounds less evenly (`convolution_winograd`); "auto" is the fastest for shape and platform
    (`convolution_choice`). Linear in each argument, so no kinks.
    Kept for the backward rule: x, w, b (b only tells whether there is one). Raises ValueError or TypeError for a wrong
    rank or dtype, channels or groups that do not fit, a window larger than the padded input, or an unknown option.
    """
    places = _places(x, w, b, stride, padding, dilation, groups, algorithm)
    forms = convolution_choice.forward(algorithm, places, x.shape[3], w.shape[3], groups)
    y = _by_platform(FORWARD, forms, x, w, places, groups)
    if b is not None:
        y = y + b.astype(y.dtype)[None, None, None, :]
    return y.astype(x.dtype)


def conv2d_fwd(x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    """y and its residuals (x, w, b)."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "algorithm": algorithm}
    return conv2d(x, w, b, **options), (x, w, b)


def conv2d_bwd(residuals, y_bar, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    """x̄ (N, H, W, C), w̄ (kh, kw, C/groups, D), b̄ (D,) or None, from ȳ (N, Ho, Wo, D)."""
    x, w, b = residuals
    places = _places(x, w, b, stride, padding, dilation, groups, algorithm)
    what = (algorithm, places, x.shape[3], w.shape[3], groups)
    forms = convolution_choice.input_cotangent(*what)
    x_bar = _by_platform(INPUT_COTANGENT, forms, y_bar, w, places, groups).astype(x.dtype)
    forms = convolution_choice.weight_cotangent(*what)
    w_bar = _by_platform(WEIGHT_COTANGENT, forms, x, y_bar, places, groups).astype(w.dtype)
    b_bar = None if b is None else _bias_cotangent(y_bar).astype(b.dtype)
    return x_bar, w_bar, b_bar


def _forward(x, w, places: Window, groups):
    return lax.conv_general_dilated(
        x,
        w,
        window_strides=places.stride,
        padding=places.padding,
        rhs_dilation=places.dilation,
        dimension_numbers=NHWC,
        feature_group_count=groups,
        preferred_element_type=accumulation_dtype(x.dtype),
    )


def _forward_evened(x, w, places: Window, groups):
    """The same sum with a term more, 0 · 0."""
    zero, none, one_more = jnp.zeros((), x.dtype), (0, 0, 0), (0, 1, 0)
    x = lax.pad(x, zero, (none, none, none, one_more))
    return _forward(x, lax.pad(w, zero, (none, none, one_more, none)), places, groups)


def _input_cotangent(y_bar, w, places: Window, groups):
    """ȳ, spread by the stride, under the kernel turned by 180°, its input and output channels swapped in each group."""
    if _would_abort(places):
        return convolution_im2col.input_cotangent(y_bar, w, places, groups)
    kh, kw, channels, outputs = w.shape
    turned = w[::-1, ::-1].reshape(kh, kw, channels, groups, outputs // groups).transpose(0, 1, 4, 3, 2)
    return lax.conv_general_dilated(
        y_bar,
        turned.reshape(kh, kw, outputs // groups, groups * channels),
        window_strides=(1, 1),
        padding=places.transposed_padding,
        lhs_dilation=places.stride,
        rhs_dilation=places.dilation,
        dimension_numbers=NHWC,
        feature_group_count=groups,
        preferred_element_type=accumulation_dtype(y_bar.dtype),
    )


def _would_abort(places: Window) -> bool:
    """Whether XLA kills the process over this convolution, as it does over autodiff's of the same layer (0.10.1).

    Where a kernel has more places than ȳ, its simplifier exchanges the two; an axis on which window and base dilation
    are both 2 and nothing is padded it then takes for one of groups, and leaves as it was.
    """
    axes = zip(places.size, places.stride, places.dilation, places.transposed_padding, strict=True)
    mistaken = any(size == stride == 2 and dilation == 1 and edges == (0, 0) for size, stride, dilation, edges in axes)
    return mistaken and math.prod(places.size) > math.prod(places.output)


def _weight_cotangent(x, y_bar, places: Window, groups):
    """One matrix product per tap: what the tap read, times ȳ."""
    rows = y_bar.reshape(-1, groups, y_bar.shape[3] // groups)
    channels = x.shape[3] // groups
    slices = [einsum("mgc,mgd->cgd", seen.reshape(-1, groups, channels), rows) for seen in read_taps(x, places)]
    return jnp.stack(slices).reshape(*places.size, channels, y_bar.shape[3])


def _weight_cotangent_as_convolution(x, y_bar, places: Window, groups):
    """x under the kernel ȳ, with samples and channels changing places: what GPU and TPU libraries do fastest."""
    spread = [s * (o - 1) + 1 for s, o in zip(places.stride, places.output, strict=True)]
    covered = [d * (k - 1) + 1 for d, k in zip(places.dilation, places.size, strict=True)]
    # Just enough rows after the input that the last tap's place is the last place of ȳ under it.
    edges = [
        (low, reach + cover - 1 - extent - low)
        for (low, _), reach, cover, extent in zip(places.padding, spread, covered, places.input, strict=True)
    ]
    return lax.conv_general_dilated(
        x,
        y_bar,
        window_strides=places.dilation,
        padding=edges,
        rhs_dilation=places.stride,
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
        batch_group_count=groups,
        preferred_element_type=accumulation_dtype(x.dtype),
    )


def _bias_cotangent(y_bar):
    """Σȳ, added up row on row first: a row fills vector registers where the D outputs of one place do not."""
    columns, outputs = y_bar.shape[2:]
    rows = y_bar.reshape(-1, columns * outputs).sum(axis=0, dtype=accumulation_dtype(y_bar.dtype))
    return rows.reshape(columns, outputs).sum(axis=0)


FORWARD = {
    "direct": _forward,
    "even": _forward_evened,
    "im2col": convolution_im2col.forward,
    "blocks": lambda x, w, places, groups: convolution_blocks.forward(_forward, x, w, places),
    "winograd": lambda x, w, places, groups: convolution_winograd.forward(x, w, places),
}
INPUT_COTANGENT = {
    "direct": _input_cotangent,
    "im2col": convolution_im2col.input_cotangent,
    "blocks": lambda y_bar, w, places, groups: convolution_blocks.input_cotangent(_forward, y_bar, w, places),
    "winograd": lambda y_bar, w, places, groups: convolution_winograd.input_cotangent(y_bar, w, places),
}
WEIGHT_COTANGENT = {
    "direct": _weight_cotangent,
    "im2col": convolution_im2col.weight_cotangent,
    "blocks": lambda x, y_bar, places, groups: convolution_blocks.weight_cotangent(x, y_bar, places),
    "chunks": convolution_chunks.weight_cotangent,
    "winograd": lambda x, y_bar, places, groups: convolution_winograd.weight_cotangent(x, y_bar, places),
    "exchanged": _weight_cotangent_as_convolution,
}


def _by_platform(table, forms: tuple[str, str], a, b, places: Window, groups):
    """The first of `forms` on a CPU, the second elsewhere; which it is, is decided when the program is lowered."""
    cpu, other = (table[form] for form in forms)
    if cpu is other:
        return cpu(a, b, places, groups)
    return lax.platform_dependent(
        a, b, cpu=lambda a, b: cpu(a, b, places, groups), default=lambda a, b: other(a, b, places, groups)
    )


def _places(x, w, b, stride, padding, dilation, groups, algorithm) -> Window:
    """Check every argument; the window."""
    require_floats("conv2d", x=x, w=w, b=b)
    require_rank("conv2d", "N H W C", x=x)
    require_rank("conv2d", "kh kw C/groups D", w=w)
    require_choice("conv2d", "algorithm", algorithm, convolution_choice.ALGORITHMS)
    channels, outputs = x.shape[3], w.shape[3]
    if channels % integer("conv2d", "groups", groups, 1) or outputs % groups:
        raise ValueError(
            f"conv2d: groups: got {groups}, expected a divisor of the {channels} input and {outputs} output channels"
        )
    if w.shape[2] != channels // groups:
        raise ValueError(
            f"conv2d: w: got shape {w.shape}, expected {channels // groups} input channels "
            f"({channels} channels of x in {groups} group{'s' if groups > 1 else ''})"
        )
    if b is not None:
        require_shape("conv2d", (outputs,), "one per output channel", b=b)
    return window2d("conv2d", x.shape, w.shape[:2], stride=stride, padding=padding, dilation=dilation)


conv2d.defvjp(conv2d_fwd, conv2d_bwd)
