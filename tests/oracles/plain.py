"""The first oracle: forwards in plain lax and jnp, no rule of ours in them, for autodiff to differentiate.

Each takes the arguments and options of the rule of the same name.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from verify.oracle import references

NHWC = ("NHWC", "HWIO", "NHWC")


def both(size):
    return (size, size) if isinstance(size, int) else tuple(size)


def edges(padding):
    """Padding as lax takes it: a word, or a pair of pairs."""
    return [(padding, padding)] * 2 if isinstance(padding, int) else padding


def conv2d(x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    sizes = (both(stride), edges(padding))
    more = {"rhs_dilation": both(dilation), "dimension_numbers": NHWC, "feature_group_count": groups}
    shape = jax.eval_shape(lambda x, w: lax.conv_general_dilated(x, w, *sizes, **more), x, w).shape
    if w.shape[0] * w.shape[1] > shape[1] * shape[2]:  # XLA may abort over lax's own backward, see convolution.py
        taps = _gathered(x, w.shape[:2], both(stride), padding, both(dilation), fill=0)
        taps = taps.reshape(*taps.shape[:4], groups, -1)
        y = jnp.einsum("tnopgc,tcgd->nopgd", taps, w.reshape(len(taps), w.shape[2], groups, -1)).reshape(shape)
    else:
        y = lax.conv_general_dilated(x, w, *sizes, **more)
    return y if b is None else y + b.reshape(1, 1, 1, -1)


def im2col(x, window, *, stride=1, padding="VALID", dilation=1):
    cols = lax.conv_general_dilated_patches(
        x, both(window), both(stride), edges(padding), rhs_dilation=both(dilation), dimension_numbers=NHWC
    )
    channel_slowest = cols.reshape(*cols.shape[:3], x.shape[3], -1)
    return jnp.swapaxes(channel_slowest, 3, 4).reshape(cols.shape)


def col2im(cols, input_shape, window, *, stride=1, padding="VALID", dilation=1):
    def patches(x):
        return im2col(x, window, stride=stride, padding=padding, dilation=dilation)

    return jax.linear_transpose(patches, jax.ShapeDtypeStruct(input_shape, cols.dtype))(cols)[0]


def conv2d_by_slices(x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    """The same from slices and one product: over autodiff of lax's convolution XLA aborts in some small geometries."""
    stack = references.taps(x, w.shape[:2], stride, padding, dilation, 0.0)
    stack = stack.reshape(*stack.shape[:4], groups, -1)
    y = jnp.einsum("tnopgc,tcgd->nopgd", stack, w.reshape(len(stack), w.shape[2], groups, -1))
    y = y.reshape(*y.shape[:3], w.shape[3])
    return y if b is None else y + b[None, None, None]


def conv_transpose2d(
    x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, output_padding=0, algorithm="auto"
):
    """A convolution of x with stride − 1 zeros between its entries, by the flipped kernel, group by group."""
    parts = w.reshape(*w.shape[:3], groups, -1).transpose(0, 1, 4, 3, 2)  # (kh, kw, C/groups, groups, D/groups)
    flipped, around = parts.reshape(*w.shape[:2], w.shape[3] // groups, -1)[::-1, ::-1], []
    for k, s, d, extra, axis in zip(
        w.shape[:2], both(stride), both(dilation), both(output_padding), (0, 1), strict=True
    ):
        reach = d * (k - 1)
        if padding == "SAME":
            cut = max(reach + 1 - s, 0)
            top, bottom, extra = cut // 2, cut - cut // 2, max(s - reach - 1, 0)
        else:
            top, bottom = (
                (0, 0) if padding == "VALID" else (padding,) * 2 if isinstance(padding, int) else padding[axis]
            )
        around.append((reach - top, reach - bottom + extra))
    options = {"lhs_dilation": both(stride), "rhs_dilation": both(dilation), "feature_group_count": groups}
    y = lax.conv_general_dilated(x, flipped, (1, 1), around, dimension_numbers=NHWC, **options)
    return y if b is None else y + b.reshape(1, 1, 1, -1)


def max_pool2d(x, *, window=2, stride=None, padding="VALID", dilation=1, ties="first"):
    stride = window if stride is None else stride
    if ties == "first" and both(dilation) == (1, 1):
        return _reduce_window(x, -jnp.inf, lax.max, window, stride, padding)
    taps = _gathered(x, both(window), both(stride), padding, both(dilation))
    y = taps.max(axis=0)  # autodiff of which splits among ties
    if ties == "split":
        return y
    if ties == "all":
        # The maximum as a number, and beside it the winners' own slopes: each t − t is 0.
        finite = jnp.where(taps > -jnp.inf, taps, 0.0)
        slopes = jnp.where(taps == y[None], finite - lax.stop_gradient(finite), 0.0)
        return lax.stop_gradient(y) + slopes.sum(axis=0)
    winner = taps.argmax(axis=0) if ties == "first" else len(taps) - 1 - taps[::-1].argmax(axis=0)
    return jnp.take_along_axis(taps, winner[None], axis=0)[0]


def avg_pool2d(x, *, window=2, stride=None, padding="VALID", count_include_pad=False):
    stride = window if stride is None else stride
    total = _reduce_window(x, 0.0, lax.add, window, stride, padding)
    if count_include_pad:
        return total / (both(window)[0] * both(window)[1])
    return total / jnp.maximum(_reduce_window(jnp.ones_like(x), 0.0, lax.add, window, stride, padding), 1)


def adaptive_avg_pool2d(x, *, size):
    for axis, outputs in zip((1, 2), both(size), strict=True):
        cuts = [(o * x.shape[axis] / outputs, (o + 1) * x.shape[axis] / outputs) for o in range(outputs)]
        means = [lax.slice_in_dim(x, math.floor(a), math.ceil(b), axis=axis).mean(axis, keepdims=True) for a, b in cuts]
        x = jnp.concatenate(means, axis)
    return x


def global_avg_pool(x):
    return jnp.einsum("nhwc->nc", x) / (x.shape[1] * x.shape[2])


def upsample2d(x, scale, *, method="nearest"):
    """By matrices whose columns are what `np.interp` makes of unit vectors."""
    if method == "nearest":
        return jnp.repeat(jnp.repeat(x, both(scale)[0], axis=1), both(scale)[1], axis=2)

    def matrix(extent, s):
        middles = (np.arange(s * extent) + 0.5) / s - 0.5
        return jnp.asarray([np.interp(middles, np.arange(extent), unit) for unit in np.eye(extent)], x.dtype).T

    rows, columns = (matrix(extent, s) for extent, s in zip(x.shape[1:3], both(scale), strict=True))
    return jnp.einsum("oh,pv,nhvc->nopc", rows, columns, x)


def relu(x, *, slope_at_zero=0.0):
    return jnp.where(x > 0, x, jnp.where(x == 0, slope_at_zero * x, 0.0))


def leaky_relu(x, *, negative_slope=0.01):
    return jnp.where(x > 0, x, negative_slope * x)


def hard_swish(x):
    return jnp.where(x <= -3, 0.0, jnp.where(x >= 3, x, (x**2 + 3 * x) / 6))


def silu(x):
    return x / (1 + jnp.exp(-x))


def tanh(x):
    return 1 - 2 / (1 + jnp.exp(2 * x))


def relu6(x):
    return jnp.where((x > 0) & (x < 6), x, jnp.where(x < 6, 0.0, 6.0))


def gelu(x, *, approximate=True):
    inner = jnp.tanh(jnp.sqrt(2 / jnp.pi) * (x + 0.044715 * x**3)) if approximate else lax.erf(x / jnp.sqrt(2.0))
    return x * (1 + inner) / 2


def sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


def softmax(x, axis=-1):
    powers = jnp.exp(x)
    return powers / powers.sum(axis=axis, keepdims=True)


def flatten(x):
    return x.reshape(len(x), -1)


def concatenate(*xs, axis=-1):
    return jnp.concatenate(xs, axis)


def dense(x, w, b=None):
    y = jnp.einsum("...i,ik->...k", x, w)
    return y if b is None else y + b.reshape((1,) * (x.ndim - 1) + (-1,))


def dropout(x, key, rate):
    return x * jax.random.bernoulli(key, jnp.float32(1 - rate), x.shape).astype(x.dtype) / (1 - rate)


def drop_path(x, key, rate):
    survives = jax.random.bernoulli(key, jnp.float32(1 - rate), x.shape[:1]).astype(x.dtype)
    return jnp.einsum("n...,n->n...", x, survives) / (1 - rate)


def group_norm(x, scale, bias, *, groups, epsilon=1e-5):
    parts = x.reshape(*x.shape[:-1], groups, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    normal = (parts - parts.mean(axis=axes, keepdims=True)) / jnp.sqrt(parts.var(axis=axes, keepdims=True) + epsilon)
    scale, bias = (a.reshape((1,) * (x.ndim - 1) + (-1,)) for a in (scale, bias))
    return normal.reshape(x.shape) * scale + bias


def layer_norm(x, scale, bias, *, epsilon=1e-5):
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    scale, bias = (a.reshape((1,) * (x.ndim - 1) + (-1,)) for a in (scale, bias))
    return (x - mean) / jnp.sqrt(variance + epsilon) * scale + bias


def local_response_norm(x, *, size=5, alpha=1e-4, beta=0.75, k=2.0):
    band = ((0, 0), (0, 0), (0, 0), (size // 2, (size - 1) // 2))
    squares = lax.reduce_window(x**2, 0.0, lax.add, (1, 1, 1, size), (1, 1, 1, 1), band)
    return x / (k + alpha * squares) ** beta


def batch_norm(x, scale, bias, *, epsilon=1e-5, axis_name=None):
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axis=axes), x.var(axis=axes)
    if axis_name is not None:
        mean = lax.pmean(mean, axis_name)
        variance = lax.pmean(((x - mean.reshape((1,) * (x.ndim - 1) + (-1,))) ** 2).mean(axis=axes), axis_name)
    return batch_norm_inference(x, scale, bias, mean, variance, epsilon=epsilon), mean, variance


def batch_norm_inference(x, scale, bias, mean, variance, *, epsilon=1e-5):
    scale, bias, mean, variance = (a.reshape((1,) * (x.ndim - 1) + (-1,)) for a in (scale, bias, mean, variance))
    return (x - mean) / jnp.sqrt(variance + epsilon) * scale + bias


def softmax_cross_entropy(logits, labels, *, label_smoothing=0.0):
    classes = logits.shape[-1]
    y = jax.nn.one_hot(labels, classes, dtype=logits.dtype) if labels.ndim < logits.ndim else labels
    return -(((1 - label_smoothing) * y + label_smoothing / classes) * jax.nn.log_softmax(logits)).sum(axis=-1)


def squared_error(prediction, target):
    return ((prediction - target) ** 2).reshape(len(prediction), -1).sum(axis=1)


def _reduce_window(x, start, operation, window, stride, padding):
    padding = padding if isinstance(padding, str) else [(0, 0), *edges(padding), (0, 0)]
    return lax.reduce_window(x, start, operation, (1, *both(window), 1), (1, *both(stride), 1), padding)


def _gathered(x, window, stride, padding, dilation, fill=-jnp.inf):
    """What each tap sees, (taps, N, Ho, Wo, C), by indexing the padded array."""
    if isinstance(padding, str):
        reach = [d * (k - 1) + 1 for d, k in zip(dilation, window, strict=True)]
        padding = lax.padtype_to_pads(x.shape[1:3], reach, stride, padding)
    padded = jnp.pad(x, [(0, 0), *edges(padding), (0, 0)], constant_values=fill)
    rows, cols = (
        [[s * o + d * i for o in range((extent - d * (k - 1) - 1) // s + 1)] for i in range(k)]
        for extent, k, s, d in zip(padded.shape[1:3], window, stride, dilation, strict=True)
    )
    return jnp.stack([padded[:, jnp.array(r)][:, :, jnp.array(c)] for r in rows for c in cols])
