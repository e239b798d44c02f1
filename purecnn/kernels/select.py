"""Which kernel computes which of a convolution's three equations, and where: the one table.

A GPU or TPU runs the page (`layers/conv2d.py`), XLA's three convolutions; w̄ of more than 8 groups as products. On a CPU

    y     winograd where ≥ 96 channels meet ≥ 96 and a third of the products is saved; banded for ≤ 16 channels, and
          for 2 … 7 to ≤ 32
    x̄     winograd as for y; banded for ≤ 16 channels and stride 1
    w̄     winograd as for y; banded for single-channel images; chunked for everything else: XLA's own runs at a third
          of a matrix product's speed, and inside `lax.scan` at a hundredth

`python -m experiments.benchmark.kernels` times every kernel beside the page. Where the batch is no number
(`jax.export` with a symbolic one) the page is taken everywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

from jax import lax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.kernels import conv_banded, conv_im2col, conv_wgrad_chunked, conv_wgrad_offsets, conv_winograd

Kernel = Callable[..., Array]  # of two arrays and `dims`

KERNELS: dict[str, ModuleType] = {
    "im2col": conv_im2col,
    "banded": conv_banded,
    "winograd": conv_winograd,
    "wgrad_chunked": conv_wgrad_chunked,
    "wgrad_offsets": conv_wgrad_offsets,
}
ALGORITHMS = ("auto", "xla", *KERNELS)
MANY_CHANNELS = 96  # from which on the products that Winograd saves are worth the sums it adds
SAVED = 1.5  # times fewer products, below which they are not
FEW_GROUPS = 8  # each of which has a convolution of its own in the page's w̄
FEW_CHANNELS = 16  # a vector register of float32 holds as many


def forward(algorithm: str, dims: ConvDims, page: Kernel) -> Kernel:
    """What computes y from (x, w, dims). Raises ValueError where `algorithm` does not know the convolution."""
    if algorithm != "auto" or not _numbers(dims):
        return _named(algorithm, dims, page, "forward")
    if _winograd_wins(dims):
        return _on_cpu(conv_winograd.forward, page)
    if (_few_channels(dims) and (dims.stride == (1, 1) or dims.in_channels < 8)) or _colour_images(dims):
        return _on_cpu(conv_banded.forward, page)
    return page


def input_cotangent(algorithm: str, dims: ConvDims, page: Kernel) -> Kernel:
    """What computes x̄ from (ȳ, w, dims)."""
    if algorithm != "auto" or not _numbers(dims):
        return _named(algorithm, dims, page, "input_cotangent")
    if _winograd_wins(dims):
        return _on_cpu(conv_winograd.input_cotangent, page)
    if _few_channels(dims) and dims.stride == (1, 1):
        return _on_cpu(conv_banded.input_cotangent, page)
    return page


def weight_cotangent(algorithm: str, dims: ConvDims, page: Kernel) -> Kernel:
    """What computes w̄ from (x, ȳ, dims)."""
    if algorithm == "auto" and dims.groups > FEW_GROUPS:
        page = conv_wgrad_offsets.weight_cotangent
    if algorithm != "auto" or not _numbers(dims):
        return _named(algorithm, dims, page, "weight_cotangent")
    if _winograd_wins(dims):
        return _on_cpu(conv_winograd.weight_cotangent, page)
    if _few_channels(dims) and dims.stride == (1, 1) and dims.in_channels == 1:
        return _on_cpu(conv_banded.weight_cotangent, page)
    return _on_cpu(conv_wgrad_chunked.weight_cotangent, page)


def _numbers(dims: ConvDims) -> bool:
    return isinstance(dims.batch, int)


def _winograd_wins(dims: ConvDims) -> bool:
    """All of AlexNet's layers but the first."""
    if conv_winograd.unknown(dims) or min(dims.in_channels, dims.out_channels) < MANY_CHANNELS:
        return False
    return conv_winograd.products_saved(dims) >= SAVED


def _few_channels(dims: ConvDims) -> bool:
    """LeNet's layers."""
    return max(dims.in_channels, dims.out_channels) <= FEW_CHANNELS and dims.groups == 1


def _colour_images(dims: ConvDims) -> bool:
    """The first layer of `cifar_cnn`: XLA:CPU is slowest where the number of channels is small and odd."""
    return 1 < dims.in_channels < 8 and dims.out_channels <= 32 and dims.groups == 1


def _named(algorithm: str, dims: ConvDims, page: Kernel, equation: str) -> Kernel:
    """The kernel that is asked for; the page for "xla" and for an equation that the kernel does not have."""
    if algorithm not in KERNELS:
        return page
    missing = KERNELS[algorithm].unknown(dims)
    if missing:
        raise ValueError(f"conv2d: algorithm: got {algorithm!r}, expected one that knows this convolution: {missing}")
    return getattr(KERNELS[algorithm], equation, page)


def _on_cpu(kernel: Kernel, page: Kernel) -> Kernel:
    """`kernel` where the program is lowered for a CPU, `page` elsewhere."""

    def either(a: Array, b: Array, dims: ConvDims) -> Array:
        cpu, default = (functools.partial(form, dims=dims) for form in (kernel, page))
        return lax.platform_dependent(a, b, cpu=cpu, default=default)

    return either
