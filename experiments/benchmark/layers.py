"""One layer's backward rule at a time, at the sizes at which the nets use it."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

import purecnn
from experiments.benchmark.nets import DIMENSIONS, plain_conv, plain_pool
from experiments.benchmark.specs import LAYER_NORM_EPSILON
from experiments.benchmark.specs import layer_norm as plain_layer_norm

# name: (x, kernel, stride, padding, whether x̄ is wanted: a first layer's is not)
CONVS = {
    "lenet conv1": ((128, 28, 28, 1), (5, 5, 1, 6), 1, 2, False),
    "lenet conv2": ((128, 14, 14, 6), (5, 5, 6, 16), 1, 2, True),
    "cifar conv1": ((128, 32, 32, 3), (3, 3, 3, 32), 1, 1, False),
    "cifar conv2": ((128, 32, 32, 32), (3, 3, 32, 32), 1, 1, True),
    "cifar conv3": ((128, 16, 16, 32), (3, 3, 32, 64), 1, 1, True),
    "cifar conv4": ((128, 16, 16, 64), (3, 3, 64, 64), 1, 1, True),
    "resnet20 conv 16": ((64, 32, 32, 16), (3, 3, 16, 16), 1, 1, True),
    "resnet20 conv 32": ((64, 16, 16, 32), (3, 3, 32, 32), 1, 1, True),
    "resnet20 conv 64": ((64, 8, 8, 64), (3, 3, 64, 64), 1, 1, True),
    "resnet18 conv 256": ((8, 6, 6, 256), (3, 3, 256, 256), 1, 1, True),
    "resnet18 conv 256/2": ((8, 6, 6, 256), (3, 3, 256, 512), 2, 1, True),
    "resnet18 conv 512": ((8, 3, 3, 512), (3, 3, 512, 512), 1, 1, True),
    "alexnet conv1": ((16, 227, 227, 3), (11, 11, 3, 96), 4, 0, False),
    "alexnet conv2": ((16, 27, 27, 96), (5, 5, 96, 256), 1, 2, True),
    "alexnet conv3": ((16, 13, 13, 256), (3, 3, 256, 384), 1, 1, True),
    "alexnet conv4": ((16, 13, 13, 384), (3, 3, 384, 384), 1, 1, True),
    "alexnet conv5": ((16, 13, 13, 384), (3, 3, 384, 256), 1, 1, True),
}
# name: (x, window, stride)
POOLS = {
    "lenet pool1 2×2/2": ((128, 28, 28, 6), 2, 2),
    "cifar pool1 2×2/2": ((128, 32, 32, 32), 2, 2),
    "alexnet pool1 3×3/2": ((16, 55, 55, 96), 3, 2),
    "alexnet pool2 3×3/2": ((16, 27, 27, 256), 3, 2),
}

# name: (x, kernel size, stride)
DEPTHWISE = {
    "depthwise 3×3 at 56": ((16, 56, 56, 32), 3, 1),
    "depthwise 3×3/2 at 56": ((16, 56, 56, 96), 3, 2),
    "depthwise 3×3 at 14": ((16, 14, 14, 384), 3, 1),
    "depthwise 5×5 at 28": ((16, 28, 28, 96), 5, 1),
    "depthwise 5×5/2 at 28": ((16, 28, 28, 144), 5, 2),
    "depthwise 7×7 at 28": ((8, 28, 28, 96), 7, 1),
    "depthwise 7×7 at 7": ((16, 7, 7, 384), 7, 1),
    "depthwise 3×3 at 112": ((32, 112, 112, 32), 3, 1),
}
BATCH_NORMS = {
    "batch norm at 56": (16, 56, 56, 64),
    "batch norm at 28": (32, 28, 28, 128),
    "batch norm at 112": (16, 112, 112, 32),
    "batch norm at 7": (64, 7, 7, 512),
}


LAYER_NORMS = {"layer norm at 56": (8, 56, 56, 96), "layer norm at 14": (8, 14, 14, 384)}
# name: (x, kernel size, output channels, stride, padding, output padding)
TRANSPOSED = {
    "transposed 2×2/2 at 28": ((16, 28, 28, 128), 2, 64, 2, 0, 0),
    "transposed 4×4/2 at 32": ((16, 32, 32, 64), 4, 32, 2, 1, 0),
    "transposed 3×3/2 at 28": ((16, 28, 28, 64), 3, 64, 2, 1, 1),
}


def conv_flops(x_shape, w_shape, stride: int, padding: int) -> int:
    """Of one product over all of the layer's output positions: y, x̄ and w̄ take one each."""
    sides = [(size + 2 * padding - k) // stride + 1 for size, k in zip(x_shape[1:3], w_shape, strict=False)]
    return 2 * x_shape[0] * math.prod(sides) * math.prod(w_shape)


def _plain_conv(stride: int, padding: int) -> Callable:
    return lambda x, w, b: plain_conv(x, w, stride, padding) + b


def conv_forward(x_shape, w_shape, stride: int, padding: int):
    """({way: function of (x, w, b) -> y}, its arguments)."""
    plain = _plain_conv(stride, padding)
    ways = {"purecnn": lambda x, w, b: purecnn.conv2d(x, w, b, stride=stride, padding=padding), "autodiff": plain}
    return ways, (_normal(0, x_shape), _normal(1, w_shape) / 10, _normal(2, w_shape[-1:]))


def _normal(seed: int, shape):
    return jax.random.normal(jax.random.key(seed), shape)


def conv_backward(x_shape, w_shape, stride: int, padding: int, input_too: bool):
    """({way: function of (x, w, b, ȳ) -> the cotangents asked for}, its arguments)."""
    plain = _plain_conv(stride, padding)

    def ours(x, w, b, y_bar):
        bars = purecnn.conv2d_bwd((x, w, b), y_bar, stride=stride, padding=padding)
        return bars if input_too else bars[1:]

    def autodiff(x, w, b, y_bar):
        if input_too:
            return jax.vjp(plain, x, w, b)[1](y_bar)
        return jax.vjp(lambda w, b: plain(x, w, b), w, b)[1](y_bar)

    x, w, b = _normal(0, x_shape), _normal(1, w_shape) / 10, _normal(2, w_shape[-1:])
    y = jax.eval_shape(plain, x, w, b)
    return {"purecnn": ours, "autodiff": autodiff}, (x, w, b, _normal(3, y.shape))


def _both_passes(function: Callable) -> Callable:
    """(*arguments, ȳ) -> y and all cotangents."""

    def run(*arguments):
        y, pullback = jax.vjp(function, *arguments[:-1])
        return y, pullback(arguments[-1])

    return run


def depthwise(x_shape, window: int, stride: int):
    """({way: function of (x, w, ȳ) -> y, x̄, w̄}, its arguments)."""
    channels, edge = x_shape[3], window // 2

    def ours(x, w):
        return purecnn.conv2d(x, w, stride=stride, padding=edge, groups=channels)

    def plain(x, w):
        options = {"dimension_numbers": DIMENSIONS, "feature_group_count": channels}
        return lax.conv_general_dilated(x, w, (stride,) * 2, [(edge, edge)] * 2, **options)

    x, w = _normal(0, x_shape), _normal(1, (window, window, 1, channels))
    y = jax.eval_shape(plain, x, w)
    return {"purecnn": _both_passes(ours), "autodiff": _both_passes(plain)}, (x, w, _normal(2, y.shape))


def batch_norm(x_shape):
    """({way: function of (x, scale, bias, ȳ) -> y and the cotangents}, its arguments)."""

    def plain(x, scale, bias):
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) * lax.rsqrt(variance + 1e-5) * scale + bias

    ways = {"purecnn": lambda *args: purecnn.batch_norm(*args)[0], "autodiff": plain}
    x, scale, bias = _normal(0, x_shape) + 3, jnp.ones(x_shape[3]), jnp.zeros(x_shape[3])
    return {way: _both_passes(f) for way, f in ways.items()}, (x, scale, bias, _normal(1, x_shape))


def layer_norm(x_shape):
    """({way: function of (x, scale, bias, ȳ) -> y and the cotangents}, its arguments)."""
    ours = functools.partial(purecnn.layer_norm, epsilon=LAYER_NORM_EPSILON)
    x, scale, bias = _normal(0, x_shape) + 3, jnp.ones(x_shape[-1]), jnp.zeros(x_shape[-1])
    ways = {"purecnn": ours, "autodiff": plain_layer_norm}
    return {way: _both_passes(f) for way, f in ways.items()}, (x, scale, bias, _normal(1, x_shape))


def conv_transpose(x_shape, window: int, features: int, stride: int, padding: int, output_padding: int):
    """({way: function of (x, w, ȳ) -> y, x̄, w̄}, its arguments). Autodiff's is of `lax.conv_transpose`."""
    low = window - 1 - padding

    def ours(x, w):
        return purecnn.conv_transpose2d(x, w, stride=stride, padding=padding, output_padding=output_padding)

    def plain(x, w):
        edges = [(low, low + output_padding)] * 2
        return lax.conv_transpose(x, w, (stride,) * 2, edges, dimension_numbers=DIMENSIONS, transpose_kernel=True)

    x, w = _normal(0, x_shape), _normal(1, (window, window, features, x_shape[3])) / 10
    y = jax.eval_shape(plain, x, w)
    return {"purecnn": _both_passes(ours), "autodiff": _both_passes(plain)}, (x, w, _normal(2, y.shape))


def pool_backward(x_shape, window: int, stride: int):
    """({way: function of (what forward kept, ȳ) -> x̄}, {way: its arguments})."""
    x = _normal(0, x_shape)
    y, residuals = purecnn.max_pool2d_fwd(x, window=window, stride=stride)
    y_bar = _normal(1, y.shape)

    ways: dict[str, Callable] = {
        "purecnn": lambda kept, y_bar: purecnn.max_pool2d_bwd(kept, y_bar, window=window, stride=stride),
        "autodiff": lambda x, y_bar: jax.vjp(lambda x: plain_pool(x, window, stride), x)[1](y_bar),
    }
    return ways, {"purecnn": (residuals, y_bar), "autodiff": (x, y_bar)}
