"""Convolution of sequences: `conv2d` of images of one row. No rule of its own, since reshaping needs none."""

from __future__ import annotations

from typing import Any

from purecnn.annotations import Array, Float
from purecnn.checks import require_rank
from purecnn.geometry import integer
from purecnn.layers.conv2d import conv2d


def conv1d(
    x: Float[Array, "n l c"],
    w: Float[Array, "k cg d"],
    b: Float[Array, " d"] | None = None,
    *,
    stride: int = 1,
    padding: str | int | tuple[int, int] = "VALID",
    dilation: int = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Float[Array, "n lo d"]:
    """Slide `w` along `x` and add `b`: x (N, L, C), w (k, C/groups, D), b (D,) or None -> (N, Lo, D), of one dtype.

    `padding` is "VALID", "SAME", an int, or (before, after); (k − 1) · dilation before and 0 after is a causal
    convolution. Options, dtypes, residuals and errors are otherwise those of `conv2d`, whose backward rule is used.
    """
    require_rank("conv1d", "N L C", x=x)
    require_rank("conv1d", "k C/groups D", w=w)
    options = row_options(stride=stride, padding=padding, dilation=dilation)
    return conv2d(x[:, None], w[None], b, **options, groups=groups, algorithm=algorithm)[:, 0]


def row_options(*, stride: Any = 1, padding: Any = "VALID", dilation: Any = 1) -> dict[str, Any]:
    """`conv2d`'s options for images of one row from those of `conv1d`."""
    step, spread = integer("conv1d", "stride", stride, 1), integer("conv1d", "dilation", dilation, 1)
    if padding not in ("VALID", "SAME"):
        if isinstance(padding, str):
            raise ValueError(f'conv1d: padding: got {padding!r}, expected "VALID", "SAME", an int or (before, after)')
        before, after = padding if isinstance(padding, tuple | list) and len(padding) == 2 else (padding, padding)
        padding = ((0, 0), (integer("conv1d", "padding", before, 0), integer("conv1d", "padding", after, 0)))
    return {"stride": (1, step), "padding": padding, "dilation": (1, spread)}
