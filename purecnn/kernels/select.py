"""Which kernel computes which of a convolution's three equations, and where: the one table.

                 on a CPU                                            on a GPU or TPU
    depthwise    depthwise                                           the page; w̄ as below
    y            winograd where ≥ 96 channels meet ≥ 96, a third     space_to_depth where ≤ 4 channels meet a stride and
                 of the products is saved, tiles are many and        a larger kernel; merged_groups for groups of 4 to 8
                 images small; col2im where the kernel is large      channels of which several have 64
                 and positions are fewer than channels; banded
                 for ≤ 16 channels, and for 2 … 7 to ≤ 32
    x̄            winograd as for y; col2im where positions are       as y
                 fewer than twice the channels, and for 1×1;
                 banded for ≤ 16 channels and stride 1
    w̄            winograd as for y; the page where ≥ 8 channels      as y, groups on one device alone; other groups
                 meet ≥ 8, ȳ is small and the kernel no larger,      wgrad_grouped on one device, where ȳ is no larger
                 and for kernels from 5×5 on over few images;        than the kernel wgrad_pairs or depthwise; on
                 wgrad_chunked for everything else                   several depthwise, and wgrad_offsets for more than
                                                                     8 groups

and the page (`layers/conv2d.py`), XLA's three convolutions, where nothing is named. XLA:CPU runs the page's w̄ at a
third of a matrix product's speed and less, but near it where x is read at many kernel offsets or stays in the cache.

`python -m experiments.benchmark.kernels` times every kernel beside the page. Where the batch is no number
(`jax.export` with a symbolic one) the page is taken everywhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import ModuleType

from jax import lax

from purecnn.annotations import Array
from purecnn.geometry import ConvDims
from purecnn.kernels import (
    conv_banded,
    conv_col2im,
    conv_depthwise,
    conv_im2col,
    conv_merged_groups,
    conv_space_to_depth,
    conv_wgrad_chunked,
    conv_wgrad_grouped,
    conv_wgrad_offsets,
    conv_wgrad_pairs,
    conv_winograd,
)
from purecnn.ops import called
from purecnn.tiles import image_bytes, products_saved, tiles_per_point

Kernel = Callable[..., Array]  # of two arrays and `dims`

KERNELS: dict[str, ModuleType] = {
    "im2col": conv_im2col,
    "col2im": conv_col2im,
    "banded": conv_banded,
    "depthwise": conv_depthwise,
    "space_to_depth": conv_space_to_depth,
    "merged_groups": conv_merged_groups,
    "winograd": conv_winograd,
    "wgrad_chunked": conv_wgrad_chunked,
    "wgrad_grouped": conv_wgrad_grouped,
    "wgrad_offsets": conv_wgrad_offsets,
    "wgrad_pairs": conv_wgrad_pairs,
}
ALGORITHMS = ("auto", "xla", *KERNELS)
MANY_CHANNELS = 96  # from which on the products that Winograd saves are worth the sums it adds
SAVED = 1.5  # times fewer products, below which they are not
TILES = 4  # a point of the kernel's transform, below which it costs more than the products saved
SAVED_BESIDE_COL2IM = 2.0  # times fewer products, below which x̄ of few positions does without Winograd
LARGE_WEIGHTS = 1 << 20  # entries of the kernel, from which on packing them is much of y's time
IMAGE_BYTES = 24 << 20  # of an image in the transform domain, above which it falls out of the cache
IMAGE_CHANNELS = 4
FEW_IN_GROUP = range(4, 9)  # channels of a group that leaves a matrix unit nearly empty
FEW_GROUPS = 8  # each of which has a convolution of its own in the page's w̄
FEW_CHANNELS = 16  # a vector register of float32 holds as many
FEW_IMAGES = 16
LARGE_KERNEL = 5
COTANGENT_BYTES = 24 << 20  # of ȳ, above which the page's w̄ reads it from memory at every kernel offset
CACHED_BYTES = 1 << 20  # of ȳ that the page's w̄ keeps beside x in a core's own cache at any number of offsets


def forward(algorithm: str, dims: ConvDims, page: Kernel) -> Kernel:
    """What computes y from (x, w, dims). Raises ValueError where `algorithm` does not know the convolution."""
    if algorithm != "auto" or not _numbers(dims):
        return _named(algorithm, dims, page, "forward")
    if _depthwise(dims):
        return _by_platform(page, conv_depthwise.forward, None)
    cpu = None
    if _winograd_wins(dims):
        cpu = conv_winograd.forward
    elif _few_positions(dims, 1) and math.prod(dims.size) * dims.in_channels * dims.out_channels >= LARGE_WEIGHTS:
        cpu = conv_col2im.forward
    elif (_few_channels(dims) and (dims.stride == (1, 1) or dims.in_channels < 8)) or _colour_images(dims):
        cpu = conv_banded.forward
    accelerator = _of_an_accelerator(dims)
    return _by_platform(page, cpu, accelerator and accelerator.forward)


def input_cotangent(algorithm: str, dims: ConvDims, page: Kernel) -> Kernel:
    """What computes x̄ from (ȳ, w, dims)."""
    if algorithm != "auto" or not _numbers(dims):
        return _named(algorithm, dims, page, "input_cotangent")
    if _depthwise(dims):
        return _by_platform(page, conv_depthwise.input_cotangent, None)
    cpu, winograd = None, _winograd_wins(dims)
    keeps_winograd = winograd and products_saved(dims) >= SAVED_BESIDE_COL2IM
    product_alone = math.prod(dims.size) == 1 and dims.groups == 1
    if product_alone or (_few_positions(dims, 2) and not keeps_winograd):
        cpu = conv_col2im.input_cotangent
    elif winograd:
        cpu = conv_winograd.input_cotangent
    elif _few_channels(dims) and dims.stride == (1, 1):
        cpu = conv_banded.input_cotangent
    accelerator = _of_an_accelerator(dims)
    return _by_platform(page, cpu, accelerator and accelerator.input_cotangent)


def weight_cotangent(algorithm: str, dims: ConvDims, page: Kernel) -> Kernel:
    """What computes w̄ from (x, ȳ, dims)."""
    if algorithm == "auto" and dims.groups > FEW_GROUPS:
        page = conv_wgrad_offsets.weight_cotangent
    if algorithm != "auto" or not _numbers(dims):
        return _named(algorithm, dims, page, "weight_cotangent")
    cpu: Kernel | None = conv_wgrad_chunked.weight_cotangent
    if _depthwise(dims):
        cpu = conv_depthwise.weight_cotangent
    elif _winograd_wins(dims):
        cpu = conv_winograd.weight_cotangent
    elif _page_wins(dims):
        cpu = None
    return _by_platform(page, cpu, _weight_cotangent_of_an_accelerator(dims))


def _of_an_accelerator(dims: ConvDims) -> ModuleType | None:
    if _strided_images(dims):
        return conv_space_to_depth
    return conv_merged_groups if _merged_groups_win(dims) else None


def _weight_cotangent_of_an_accelerator(dims: ConvDims) -> Kernel | None:
    several_devices = conv_wgrad_grouped.unknown(dims)
    small = all(y <= k for y, k in zip(dims.output, dims.size, strict=True))  # where XLA does not know w̄ as such
    if _depthwise(dims) and (small or several_devices):
        pairs = small and not conv_wgrad_pairs.unknown(dims)
        return conv_wgrad_pairs.weight_cotangent if pairs else conv_depthwise.weight_cotangent
    kernel = _of_an_accelerator(dims)
    if kernel and (dims.groups == 1 or not several_devices):
        return kernel.weight_cotangent
    return None if dims.groups == 1 or several_devices else conv_wgrad_grouped.weight_cotangent


def _numbers(dims: ConvDims) -> bool:
    return isinstance(dims.batch, int)


def _depthwise(dims: ConvDims) -> bool:
    return dims.groups > 1 and not conv_depthwise.unknown(dims)


def _strided_images(dims: ConvDims) -> bool:
    """The first layers of AlexNet, ResNet and ConvNeXt; the last one's windows do not overlap."""
    strided = dims.stride != (1, 1) and all(k >= s for k, s in zip(dims.size, dims.stride, strict=True))
    return strided and dims.in_channels <= IMAGE_CHANNELS and not conv_space_to_depth.unknown(dims)


def _merged_groups_win(dims: ConvDims) -> bool:
    """The 3×3 layers of ResNeXts."""
    channels = [of // dims.groups for of in (dims.in_channels, dims.out_channels)]
    fills = dims.groups // conv_merged_groups.merged(dims).groups * max(channels) == conv_merged_groups.CHANNELS
    return fills and all(n in FEW_IN_GROUP for n in channels)


def _winograd_wins(dims: ConvDims) -> bool:
    """All of AlexNet's layers but the first, from a batch of four on."""
    if conv_winograd.unknown(dims) or min(dims.in_channels, dims.out_channels) < MANY_CHANNELS:
        return False
    if tiles_per_point(dims) < TILES or image_bytes(dims) > IMAGE_BYTES:
        return False
    return products_saved(dims) >= SAVED


def _few_positions(dims: ConvDims, times: int) -> bool:
    """The last layers of ResNets: at most `times` as many output positions as channels."""
    many_channels = min(dims.in_channels, dims.out_channels) >= MANY_CHANNELS
    return many_channels and dims.groups == 1 and _positions(dims) <= times * dims.out_channels


def _positions(dims: ConvDims) -> int:
    return dims.batch * math.prod(dims.output)


def _few_channels(dims: ConvDims) -> bool:
    """LeNet's layers."""
    return max(dims.in_channels, dims.out_channels) <= FEW_CHANNELS and dims.groups == 1


def _page_wins(dims: ConvDims) -> bool:
    """XLA's w̄ takes half to nine tenths of the time of wgrad_chunked where ȳ stays in the cache, and over few images
    of many channels under large kernels. Its fast convolution knows no output that is larger than the input: of those
    it takes ten times as long. One image is left out, which under `vmap` would be a group of a grouped convolution."""
    channels = min(dims.in_channels, dims.out_channels)
    grows = any(y > x for y, x in zip(dims.output, dims.input, strict=True))
    if dims.groups > 1 or dims.dilation != (1, 1) or math.prod(dims.size) == 1 or grows:
        return False
    y_bytes = 4 * _positions(dims) * dims.out_channels
    # The page has w̄ with its channels first: of a large one, putting them in order takes longer than the products.
    large = channels >= MANY_CHANNELS and 2 * _positions(dims) <= dims.out_channels
    small = dims.batch > 1 and channels >= FEW_CHANNELS // 2 and y_bytes <= CACHED_BYTES and not large
    large_kernel = min(dims.size) >= LARGE_KERNEL and channels >= 2 * FEW_CHANNELS and dims.batch <= FEW_IMAGES
    return small or (large_kernel and y_bytes <= COTANGENT_BYTES)


def _colour_images(dims: ConvDims) -> bool:
    """The first layer of `cifar_cnn`: XLA:CPU is slowest where the number of channels is small and odd."""
    return 1 < dims.in_channels < 8 and dims.out_channels <= 32 and dims.groups == 1


def require_known(layer: str, algorithm: str, dims: ConvDims) -> None:
    """Raises ValueError for a kernel by name that does not know the convolution."""
    missing = KERNELS[algorithm].unknown(dims) if algorithm in KERNELS else ""
    if missing:
        raise ValueError(f"{layer}: algorithm: got {algorithm!r}, expected one that covers this convolution: {missing}")


def _named(algorithm: str, dims: ConvDims, page: Kernel, equation: str) -> Kernel:
    """The kernel that is asked for; the page for "xla" and for an equation that the kernel does not have."""
    if algorithm not in KERNELS:
        return page
    require_known("conv2d", algorithm, dims)
    return getattr(KERNELS[algorithm], equation, page)


def _by_platform(page: Kernel, cpu: Kernel | None, accelerator: Kernel | None) -> Kernel:
    """`cpu` on a CPU, `accelerator` on a GPU or TPU, `page` for None: decided when the program is lowered."""
    kernels = {"cpu": cpu, "cuda": accelerator, "rocm": accelerator, "tpu": accelerator}
    chosen = {platform: kernel for platform, kernel in kernels.items() if kernel is not None}
    if not chosen:
        return page

    def run(a: Array, b: Array, dims: ConvDims) -> Array:
        known = {kernel: functools.partial(kernel, dims=dims) for kernel in chosen.values()}  # each is traced once
        forms: dict[str, Callable[..., Array]] = {platform: known[kernel] for platform, kernel in chosen.items()}
        if cpu is not None:
            forms["cpu"] = called(known[cpu], f"{cpu.__module__.rpartition('.')[2]}.{cpu.__name__}")
        return lax.platform_dependent(a, b, default=functools.partial(page, dims=dims), **forms)

    return run
