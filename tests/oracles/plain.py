"""The first oracle: forwards in plain lax and jnp, no rule of ours in them, for autodiff to differentiate.

Each takes the arguments and options of the rule of the same name. Of most rules the plain forward is the reference that
verify's suite has, in `verify.oracle.references`. Here are the others: those that it has none for, and convolutions and
pools as operations of XLA, whose derivatives are JAX's own.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from verify.oracle import references
from verify.oracle.references import batch_norm_inference, input_at_offsets
from verify.oracle.references import pair as both

NHWC = ("NHWC", "HWIO", "NHWC")


def named(name):
    """The plain forward of the rule of that name."""
    return globals().get(name) or getattr(references, name)


def edges(padding):
    """Padding as lax takes it: a word, or a pair of pairs."""
    return [(padding, padding)] * 2 if isinstance(padding, int) else padding


def conv2d(x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    def by_lax(x, w):
        options = {"rhs_dilation": both(dilation), "dimension_numbers": NHWC, "feature_group_count": groups}
        return lax.conv_general_dilated(x, w, both(stride), edges(padding), **options)

    output = jax.eval_shape(by_lax, x, w).shape[1:3]
    if w.shape[0] * w.shape[1] > output[0] * output[1]:  # XLA may abort over lax's own backward, see ops.convolution
        return conv2d_by_slices(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return by_lax(x, w) if b is None else by_lax(x, w) + b.reshape(1, 1, 1, -1)


def conv2d_by_slices(x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    """The same from slices and one product: over autodiff of lax's convolution XLA aborts in some small geometries."""
    offsets = input_at_offsets(x, w.shape[:2], stride, padding, dilation, 0.0)
    offsets = offsets.reshape(*offsets.shape[:4], groups, -1)
    y = jnp.einsum("knopgc,kcgd->nopgd", offsets, w.reshape(len(offsets), w.shape[2], groups, -1))
    y = y.reshape(*y.shape[:3], w.shape[3])
    return y if b is None else y + b[None, None, None]


def max_pool2d(x, *, window=2, stride=None, padding="VALID", dilation=1, ties="first"):
    stride = window if stride is None else stride
    if ties == "first" and both(dilation) == (1, 1):
        return _reduce_window(x, -jnp.inf, lax.max, window, stride, padding)
    offsets = input_at_offsets(x, window, stride, padding, dilation, -jnp.inf)
    y = offsets.max(axis=0)  # autodiff of which splits among ties
    if ties == "split":
        return y
    if ties == "all":
        # The maximum as a number, and beside it the winners' own slopes: each t − t is 0.
        finite = jnp.where(offsets > -jnp.inf, offsets, 0.0)
        slopes = jnp.where(offsets == y[None], finite - lax.stop_gradient(finite), 0.0)
        return lax.stop_gradient(y) + slopes.sum(axis=0)
    winner = offsets.argmax(axis=0) if ties == "first" else len(offsets) - 1 - offsets[::-1].argmax(axis=0)
    return jnp.take_along_axis(offsets, winner[None], axis=0)[0]


def avg_pool2d(x, *, window=2, stride=None, padding="VALID", count_include_pad=False):
    stride = window if stride is None else stride
    total = _reduce_window(x, 0.0, lax.add, window, stride, padding)
    if count_include_pad:
        return total / (both(window)[0] * both(window)[1])
    return total / jnp.maximum(_reduce_window(jnp.ones_like(x), 0.0, lax.add, window, stride, padding), 1)


def upsample2d(x, scale, *, method="nearest"):
    """By matrices whose columns are what `np.interp` makes of unit vectors."""
    if method == "nearest":
        return jnp.repeat(jnp.repeat(x, both(scale)[0], axis=1), both(scale)[1], axis=2)

    def matrix(extent, s):
        middles = (np.arange(s * extent) + 0.5) / s - 0.5
        return jnp.asarray([np.interp(middles, np.arange(extent), unit) for unit in np.eye(extent)], x.dtype).T

    rows, columns = (matrix(extent, s) for extent, s in zip(x.shape[1:3], both(scale), strict=True))
    return jnp.einsum("oh,pv,nhvc->nopc", rows, columns, x)


def silu(x):
    return x / (1 + jnp.exp(-x))


def tanh(x):
    return 1 - 2 / (1 + jnp.exp(2 * x))


def gelu(x, *, approximate=True):
    inner = jnp.tanh(jnp.sqrt(2 / jnp.pi) * (x + 0.044715 * x**3)) if approximate else lax.erf(x / jnp.sqrt(2.0))
    return x * (1 + inner) / 2


def sigmoid(x):
    return 1 / (1 + jnp.exp(-x))


def softmax(x, axis=-1):
    powers = jnp.exp(x)
    return powers / powers.sum(axis=axis, keepdims=True)


def dropout(x, key, rate):
    return x * jax.random.bernoulli(key, jnp.float32(1 - rate), x.shape).astype(x.dtype) / (1 - rate)


def drop_path(x, key, rate):
    survives = jax.random.bernoulli(key, jnp.float32(1 - rate), x.shape[:1]).astype(x.dtype)
    return jnp.einsum("n...,n->n...", x, survives) / (1 - rate)


def batch_norm(x, scale, bias, *, epsilon=1e-5, axis_name=None):
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axis=axes), x.var(axis=axes)
    if axis_name is not None:
        mean = lax.pmean(mean, axis_name)
        variance = lax.pmean(((x - mean.reshape((1,) * (x.ndim - 1) + (-1,))) ** 2).mean(axis=axes), axis_name)
    return batch_norm_inference(x, scale, bias, mean, variance, epsilon=epsilon), mean, variance


def _reduce_window(x, start, operation, window, stride, padding):
    padding = padding if isinstance(padding, str) else [(0, 0), *edges(padding), (0, 0)]
    return lax.reduce_window(x, start, operation, (1, *both(window), 1), (1, *both(stride), 1), padding)
