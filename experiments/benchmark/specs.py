"""Networks as data: tuples of operations that purecnn, plain `lax`, Flax and PyTorch each interpret.

The parameters of a net are one dict per operation, as a `purecnn.Chain`'s are: {"w", "b"}, {"scale", "bias"},
{"body", "shortcut"}, or {}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

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
BATCH_NORM, LAYER_NORM, GELU, GLOBAL_POOL = "batch norm", "layer norm", "gelu", "global average pool"


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


def mobilenet_block(channels: int = 24, expansion: int = 6, classes: int = 10) -> tuple:
    """MobileNetV2's inverted residual (Sandler et al. 2018), behind a 4×4 stem with stride 4, so that its x̄ counts."""
    wide = expansion * channels
    body = (*conv_norm(wide, 1), RELU, *conv_norm(wide, 3, 1, groups=wide), RELU, *conv_norm(channels, 1))
    return (*conv_norm(channels, 4, 0, 4), Residual(body), GLOBAL_POOL, Dense(classes))


def convnext_block(channels: int = 96, classes: int = 10) -> tuple:
    """ConvNeXt's block (Liu et al. 2022) without its layer scale, behind ConvNeXt's own 4×4 stem with stride 4."""
    body = (Conv(channels, 7, 3, groups=channels), LAYER_NORM, Conv(4 * channels, 1), GELU, Conv(channels, 1))
    return (Conv(channels, 4, 0, 4), LAYER_NORM, Residual(body), GLOBAL_POOL, Dense(classes))


def gelu(x):
    return jax.nn.gelu(x, approximate=False)


def layer_norm(x, scale, bias, epsilon: float = 1e-6):
    """Over the channels, in float32 at the least."""
    wide = x.astype(accumulation_dtype(x.dtype))
    mean, variance = wide.mean(-1, keepdims=True), wide.var(-1, keepdims=True)
    return ((wide - mean) * jax.lax.rsqrt(variance + epsilon) * scale + bias).astype(x.dtype)


def without_a_rule(name: str, function, names: tuple[str, ...] = ()) -> Layer:
    """function(x, *parameters) as a layer whose backward rule is autodiff's: for what purecnn has no rule for."""

    def call(params, x):
        return function(x, *(params[name] for name in names))

    def forward(params, state, x, train, key):
        return call(params, x), state, (params, x)

    def backward(residuals, y_bar, train):  # the forward pass in it is XLA's to find equal to the one before
        return jax.vjp(call, *residuals)[1](y_bar)[::-1]

    def init(key, shape, dtype):
        return {name: (jnp.ones if name == "scale" else jnp.zeros)(shape[-1:], dtype) for name in names}

    return Layer(
        name,
        lambda params, state, x, train, key: (call(params, x), state),
        forward,
        backward,
        init,
    )


PLAIN_LAYERS = {
    **{RELU: nn.relu, FLATTEN: nn.flatten, GLOBAL_POOL: nn.global_avg_pool, BATCH_NORM: nn.batch_norm},
    **{NORM: nn.local_response_norm, DROPOUT: lambda: nn.dropout(0.0), GELU: lambda: without_a_rule("gelu", gelu)},
    LAYER_NORM: lambda: without_a_rule("layer_norm", layer_norm, ("scale", "bias")),
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
