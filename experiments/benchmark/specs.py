"""Networks as data: tuples of operations that purecnn, plain `lax`, Flax and PyTorch each interpret.

The parameters of a net are one dict per operation, as a `purecnn.Chain`'s are: {"w", "b"}, {"scale", "bias"},
{"body", "shortcut"}, or {}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax

import purecnn
from purecnn import nn
from purecnn.chain import Layer
from purecnn.ops import accumulation_dtype


@dataclass(frozen=True)
class Conv:
    """`features` output channels; `groups` = `features` = the input's channels is a depthwise convolution."""

    features: int
    window: int
    padding: int = 0
    stride: int = 1
    groups: int = 1
    bias: bool = True


@dataclass(frozen=True)
class Pool:
    window: int
    stride: int
    padding: int = 0


@dataclass(frozen=True)
class Dense:
    features: int


@dataclass(frozen=True)
class Residual:
    """body(x) + shortcut(x); an empty shortcut is x."""

    body: tuple
    shortcut: tuple = ()


RELU, NORM, FLATTEN, DROPOUT = "relu", "norm", "flatten", "dropout at rate 0"
RELU6, GELU, GLOBAL_POOL = "relu6", "gelu", "global average pool"
BATCH_NORM, LAYER_NORM, LAYER_NORM_EPSILON = "batch norm", "layer norm", 1e-6


def conv_relu(*args, **options) -> tuple:
    return (Conv(*args, **options), RELU)


def conv_norm(*args, **options) -> tuple:
    """A convolution without bias (the normalisation has one) and batch normalisation."""
    return (Conv(*args, **options, bias=False), BATCH_NORM)


LENET = (
    *(*conv_relu(6, 5, 2), Pool(2, 2), *conv_relu(16, 5, 2), Pool(2, 2), FLATTEN),
    *(Dense(120), RELU, Dense(84), RELU, Dense(10)),
)
CIFAR_CNN = (
    *(*conv_relu(32, 3, 1), *conv_relu(32, 3, 1), Pool(2, 2)),
    *(*conv_relu(64, 3, 1), *conv_relu(64, 3, 1), Pool(2, 2), FLATTEN),
    *(Dense(256), RELU, Dense(10)),
)
ALEXNET = (
    *(*conv_relu(96, 11, 0, 4), NORM, Pool(3, 2), *conv_relu(256, 5, 2), NORM, Pool(3, 2)),
    *(*conv_relu(384, 3, 1), *conv_relu(384, 3, 1), *conv_relu(256, 3, 1), Pool(3, 2), FLATTEN),
    *(Dense(4096), RELU, DROPOUT, Dense(4096), RELU, DROPOUT, Dense(1000)),
)
ALEXNET_NO_NORM = tuple(op for op in ALEXNET if op != NORM)


def vgg(*stages: tuple[int, int], hidden: int = 4096, classes: int = 1000) -> tuple:
    """Simonyan and Zisserman 2015: (features, number of 3×3 convolutions) for each stage, a 2×2 pool behind each."""
    ops = [op for features, n in stages for op in (*conv_relu(features, 3, 1) * n, Pool(2, 2))]
    return (*ops, FLATTEN, Dense(hidden), RELU, Dense(hidden), RELU, Dense(classes))


VGG16 = vgg((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def convolutions(spec: tuple) -> tuple:
    """What of `spec` stands in front of the flatten, without response normalisation."""
    return tuple(op for op in spec[: spec.index(FLATTEN)] if op != NORM)


def resnet_cifar(blocks_per_stage: int = 3, features: tuple[int, ...] = (16, 32, 64)) -> tuple:
    """`purecnn.models.resnet_cifar`: ResNet-20 with 3 blocks in each stage."""
    ops = [*conv_norm(features[0], 3, 1), RELU]
    for stage, channels in enumerate(features):
        for block in range(blocks_per_stage):
            stride = 2 if stage > 0 and block == 0 else 1
            body = (*conv_norm(channels, 3, 1, stride), RELU, *conv_norm(channels, 3, 1))
            ops += [Residual(body, conv_norm(channels, 1, 0, stride) if stride == 2 else ()), RELU]
    return (*ops, GLOBAL_POOL, Dense(10))


def bottleneck(channels: int, stride: int = 1, projection: bool = True) -> tuple:
    """ResNet-50's block, v1.5 (the stride in the 3×3): 1×1 to `channels`, 3×3, 1×1 to four times as many."""
    body = (*conv_norm(channels, 1), RELU, *conv_norm(channels, 3, 1, stride), RELU, *conv_norm(4 * channels, 1))
    return (Residual(body, conv_norm(4 * channels, 1, 0, stride) if projection else ()), RELU)


def resnet50(blocks: tuple[int, ...] = (3, 4, 6, 3), width: int = 64, classes: int = 1000) -> tuple:
    """He et al. 2015: a 7×7 stem with stride 2, a 3×3 pool with stride 2, stages of `blocks` bottleneck blocks.

    `blocks=(1, 1, 1, 1)` is the first block of each stage, which projects its shortcut: `width` → 4 `width` channels
    with stride 1, then with stride 2 to 8, 16 and 32 `width`. On 96×96 images their maps are 24², 12², 6² and 3².
    """
    ops = [*conv_norm(width, 7, 3, 2), RELU, Pool(3, 2, 1)]
    for stage, n in enumerate(blocks):
        for block in range(n):
            ops += bottleneck(width << stage, 2 if stage and not block else 1, projection=not block)
    return (*ops, GLOBAL_POOL, Dense(classes))


# MobileNet's 13 depthwise separable layers: (output channels, stride)
MOBILENET_LAYERS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5),
    *((1024, 2), (1024, 1)),
)


def mobilenet(layers: tuple[tuple[int, int], ...] = MOBILENET_LAYERS, stem: int = 32, classes: int = 1000) -> tuple:
    """Howard et al. 2017: a 3×3 convolution with stride 2, then a depthwise 3×3 and a 1×1 convolution per layer."""
    ops, channels = [*conv_norm(stem, 3, 1, 2), RELU], stem
    for features, stride in layers:
        ops += [*conv_norm(channels, 3, 1, stride, groups=channels), RELU, *conv_norm(features, 1), RELU]
        channels = features
    return (*ops, GLOBAL_POOL, Dense(classes))


def resnet18(blocks: tuple[int, ...] = (2, 2, 2, 2), width: int = 64, classes: int = 1000) -> tuple:
    """He et al. 2015: two 3×3 convolutions a block, behind the same stem as ResNet-50's."""
    ops, channels = [*conv_norm(width, 7, 3, 2), RELU, Pool(3, 2, 1)], width
    for stage, n in enumerate(blocks):
        for block in range(n):
            features, stride = width << stage, 2 if stage and not block else 1
            body = (*conv_norm(features, 3, 1, stride), RELU, *conv_norm(features, 3, 1))
            same = stride == 1 and features == channels
            ops += [Residual(body, () if same else conv_norm(features, 1, 0, stride)), RELU]
            channels = features
    return (*ops, GLOBAL_POOL, Dense(classes))


# MobileNetV2's stages: (expansion, output channels, blocks, stride of the first)
MOBILENET_V2_STAGES = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


def mobilenet_v2(
    stages: tuple[tuple[int, int, int, int], ...] = MOBILENET_V2_STAGES,
    stem: int = 32,
    last: int = 1280,
    classes: int = 1000,
) -> tuple:
    """Sandler et al. 2018: a depthwise 3×3 between two 1×1 convolutions; where no shape changes the input is added."""
    ops, channels = [*conv_norm(stem, 3, 1, 2), RELU6], stem
    for expansion, features, n, first_stride in stages:
        for block in range(n):
            wide, stride = expansion * channels, 1 if block else first_stride
            widen = (*conv_norm(wide, 1), RELU6) if expansion > 1 else ()
            body = (*widen, *conv_norm(wide, 3, 1, stride, groups=wide), RELU6, *conv_norm(features, 1))
            ops += [Residual(body)] if stride == 1 and features == channels else body
            channels = features
    return (*ops, *conv_norm(last, 1), RELU6, GLOBAL_POOL, DROPOUT, Dense(classes))


def mobilenet_block(channels: int = 24, expansion: int = 6, classes: int = 10) -> tuple:
    """MobileNetV2's inverted residual (Sandler et al. 2018), behind a 4×4 stem with stride 4, so that its x̄ counts."""
    wide = expansion * channels
    body = (*conv_norm(wide, 1), RELU, *conv_norm(wide, 3, 1, groups=wide), RELU, *conv_norm(channels, 1))
    return (*conv_norm(channels, 4, 0, 4), Residual(body), GLOBAL_POOL, Dense(classes))


def convnext(*stages: tuple[int, int], classes: int = 10) -> tuple:
    """Liu et al. 2022 without layer scale and stochastic depth: (channels, blocks) for each stage, the first behind a
    4×4 stem with stride 4, the others behind a 2×2 convolution with stride 2."""
    ops = []
    for stage, (channels, n) in enumerate(stages):
        block = (Conv(channels, 7, 3, groups=channels), LAYER_NORM, Conv(4 * channels, 1), GELU, Conv(channels, 1))
        smaller = (LAYER_NORM, Conv(channels, 2, 0, 2)) if stage else (Conv(channels, 4, 0, 4), LAYER_NORM)
        ops += [*smaller, *(Residual(block),) * n]
    return (*ops, GLOBAL_POOL, LAYER_NORM, Dense(classes))


CONVNEXT_TINY = convnext((96, 3), (192, 3), (384, 9), (768, 3), classes=1000)


def gelu(x):
    return jax.nn.gelu(x, approximate=False)


def layer_norm(x, scale, bias, epsilon: float = LAYER_NORM_EPSILON):
    """Over the channels, in float32 at the least."""
    wide = x.astype(accumulation_dtype(x.dtype))
    mean, variance = wide.mean(-1, keepdims=True), wide.var(-1, keepdims=True)
    return ((wide - mean) * jax.lax.rsqrt(variance + epsilon) * scale + bias).astype(x.dtype)


PLAIN_LAYERS = {
    **{RELU: nn.relu, FLATTEN: nn.flatten, GLOBAL_POOL: nn.global_avg_pool, BATCH_NORM: nn.batch_norm},
    **{NORM: nn.local_response_norm, DROPOUT: lambda: nn.dropout(0.0), RELU6: nn.relu6},
    **{GELU: lambda: nn.gelu(approximate=False), LAYER_NORM: lambda: nn.layer_norm(epsilon=LAYER_NORM_EPSILON)},
}


def layer(op: Any) -> Layer:
    """purecnn's layer for `op`."""
    if isinstance(op, Conv):
        options = {"stride": op.stride, "padding": op.padding, "groups": op.groups, "bias": op.bias}
        return nn.conv2d(op.features, op.window, **options)
    if isinstance(op, Pool):
        return nn.max_pool2d(op.window, stride=op.stride, padding=op.padding)
    if isinstance(op, Dense):
        return nn.dense(op.features)
    if isinstance(op, Residual):
        return nn.residual(*map(layer, op.body), shortcut=tuple(map(layer, op.shortcut)))
    return PLAIN_LAYERS[op]()


def chain(name: str, spec: tuple) -> purecnn.Chain:
    return purecnn.Chain(name, tuple(map(layer, spec)))
