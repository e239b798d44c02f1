"""Plain forward functions for autodiff to differentiate: what purecnn's rules are measured against.

Written for clarity, from `lax` and `jnp` alone, with the same options and conventions as the rules; none of their code.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def pair(size: Any) -> tuple[int, int]:
    """An int or a pair as a pair."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def edges(padding: Any, sizes: Any, window: Any, stride: Any, dilation: Any = (1, 1)) -> Any:
    """((top, bottom), (left, right)), whichever way the padding is given."""
    if isinstance(padding, str):
        reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
        return jax.lax.padtype_to_pads(sizes, reach, stride, padding)
    return ((padding, padding),) * 2 if isinstance(padding, int) else tuple(map(tuple, padding))


def input_at_offsets(x, window, stride, padding, dilation, fill):
    """All windows at once: (kernel offsets, n, ho, wo, c), row-major in the window."""
    k, s, d = pair(window), pair(stride), pair(dilation)
    pads = edges(padding, x.shape[1:3], k, s, d)
    xp = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    ho, wo = ((xp.shape[1 + a] - (k[a] - 1) * d[a] - 1) // s[a] + 1 for a in (0, 1))
    if ho < 1 or wo < 1:
        raise ValueError("the window is larger than the image")
    starts = [(i * d[0], j * d[1]) for i in range(k[0]) for j in range(k[1])]
    return jnp.stack([xp[:, i : i + (ho - 1) * s[0] + 1 : s[0], j : j + (wo - 1) * s[1] + 1 : s[1]] for i, j in starts])


def conv2d(x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, algorithm="auto"):
    s, d = pair(stride), pair(dilation)
    pads = edges(padding, x.shape[1:3], w.shape[:2], s, d)
    y = jax.lax.conv_general_dilated(
        x, w, s, pads, rhs_dilation=d, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )
    return y if b is None else y + b[None, None, None]


def conv_transpose2d(
    x, w, b=None, *, stride=1, padding="VALID", dilation=1, groups=1, output_padding=0, algorithm="auto"
):
    """One kernel offset after the other, added where its copy of x falls."""
    s, d, extra = pair(stride), pair(dilation), pair(output_padding)
    sizes = [s[a] * x.shape[1 + a] for a in (0, 1)]
    pads, spread = edges(padding, sizes, w.shape[:2], s, d), [max(0, n - s[a] + 1) for a, n in enumerate(sizes)]
    if padding != "SAME":
        sizes = [spread[a] + d[a] * (w.shape[a] - 1) + extra[a] - sum(pads[a]) for a in (0, 1)]
    parts = x.reshape(*x.shape[:3], groups, x.shape[3] // groups)
    products = jnp.einsum("nhvgc,ijkgc->ijnhvgk", parts, w.reshape(*w.shape[:3], groups, -1))
    y = jnp.zeros((x.shape[0], *sizes, w.shape[2] * groups), x.dtype)
    for i, j in np.ndindex(w.shape[:2]):
        lows = [d[a] * t - pads[a][0] for a, t in enumerate((i, j))]
        fall = [(lows[a], sizes[a] - lows[a] - spread[a], s[a] - 1) for a in (0, 1)]
        copy = products[i, j].reshape(*x.shape[:3], y.shape[3])
        y += jax.lax.pad(copy, jnp.zeros((), x.dtype), [(0, 0, 0), *fall, (0, 0, 0)])
    return y if b is None else y + b[None, None, None]


def max_pool2d(x, *, window=2, stride=None, padding="VALID", dilation=1, ties="first"):
    stack = input_at_offsets(x, window, window if stride is None else stride, padding, dilation, -np.inf)
    if ties == "split":
        return stack.max(0)  # autodiff of a maximum shares among ties
    if ties == "all":
        top = jax.lax.stop_gradient(stack.max(0))
        tied = stack == top[None]
        return top + jnp.where(tied, stack - jax.lax.stop_gradient(stack), jnp.zeros_like(stack)).sum(0)
    last = stack.shape[0] - 1
    winner = jnp.argmax(stack, 0) if ties == "first" else last - jnp.argmax(stack[::-1], 0)
    return jnp.take_along_axis(stack, winner[None], 0)[0]


def avg_pool2d(x, *, window=2, stride=None, padding="VALID", count_include_pad=False):
    step = window if stride is None else stride
    inside = input_at_offsets(jnp.ones((1, *x.shape[1:3], 1), x.dtype), window, step, padding, 1, 0.0)
    count = jnp.full_like(inside[0], inside.shape[0]) if count_include_pad else inside.sum(0)
    return input_at_offsets(x, window, step, padding, 1, 0.0).sum(0) / count


def adaptive_avg_pool2d(x, *, size):
    def along(x, axis, outputs):
        edges = [(o * x.shape[axis] // outputs, -(-(o + 1) * x.shape[axis] // outputs)) for o in range(outputs)]
        return jnp.stack([jax.lax.slice_in_dim(x, *edge, axis=axis).mean(axis) for edge in edges], axis)

    return along(along(x, 1, size[0]), 2, size[1])


def global_avg_pool(x):
    return x.mean((1, 2))


def upsample2d(x, scale, *, method="nearest"):
    s = pair(scale)
    for axis in (1, 2):
        at = (jnp.arange(x.shape[axis] * s[axis - 1], dtype=x.dtype) + 0.5) / s[axis - 1] - 0.5
        at = jnp.round(at) if method == "nearest" else jnp.clip(at, 0, x.shape[axis] - 1)
        low = jnp.floor(at).astype(int)
        high = jnp.minimum(low + 1, x.shape[axis] - 1)
        share = (at - low.astype(x.dtype)).reshape((-1,) + (1,) * (3 - axis))[(None,) * axis]
        x = jnp.take(x, low, axis) * (1 - share) + jnp.take(x, high, axis) * share
    return x


def im2col(x, window, *, stride=1, padding="VALID", dilation=1):
    stack = input_at_offsets(x, window, stride, padding, dilation, 0.0)
    return jnp.moveaxis(stack, 0, 3).reshape(*stack.shape[1:4], -1)


def col2im(cols, input_shape, window, *, stride=1, padding="VALID", dilation=1):
    zeros = jnp.zeros(input_shape, cols.dtype)
    return jax.linear_transpose(lambda x: im2col(x, window, stride=stride, padding=padding, dilation=dilation), zeros)(
        cols
    )[0]


def relu(x, *, slope_at_zero=0.0):
    at_zero = jnp.asarray(slope_at_zero, x.dtype) * x
    return jnp.where(x > 0, x, jnp.where(x == 0, at_zero, jnp.zeros_like(x)))


def leaky_relu(x, *, negative_slope=0.01):
    return jnp.where(x > 0, x, jnp.asarray(negative_slope, x.dtype) * x)


def hard_swish(x):
    return jnp.where(x <= -3, jnp.zeros_like(x), jnp.where(x >= 3, x, x * (x + 3) / 6))


def relu6(x):
    return jnp.where(x > 0, jnp.where(x < 6, x, jnp.full_like(x, 6)), jnp.zeros_like(x))


def flatten(x):
    return x.reshape(x.shape[0], -1)


def concatenate(*xs, axis=-1):
    return jnp.concatenate(xs, axis)


def dense(x, w, b=None):
    return x @ w if b is None else x @ w + b.reshape(*(1,) * (x.ndim - 1), -1)


def local_response_norm(x, *, size=5, alpha=1e-4, beta=0.75, k=2.0):
    before = size // 2
    squares = jnp.pad(x * x, ((0, 0), (0, 0), (0, 0), (before, size - 1 - before)))
    total = sum(squares[..., c : c + x.shape[3]] for c in range(size))
    return x / (k + alpha * total) ** beta


def group_norm(x, scale, bias, *, groups, epsilon=1e-5):
    parts = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    mean = parts.mean((1, 3), keepdims=True)
    variance = ((parts - mean) ** 2).mean((1, 3), keepdims=True)
    last = (*(1,) * (x.ndim - 1), -1)
    return ((parts - mean) / jnp.sqrt(variance + epsilon)).reshape(x.shape) * scale.reshape(last) + bias.reshape(last)


def layer_norm(x, scale, bias, *, epsilon=1e-5):
    last = (*(1,) * (x.ndim - 1), -1)
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + epsilon) * scale.reshape(last) + bias.reshape(last)


def batch_norm(x, scale, bias, *, epsilon=1e-5):
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axes, keepdims=True)
    y = (x - mean) / jnp.sqrt(variance + epsilon) * scale.reshape(mean.shape) + bias.reshape(mean.shape)
    return y, mean.reshape(-1), variance.reshape(-1)


def batch_norm_inference(x, scale, bias, mean, variance, *, epsilon=1e-5):
    last = (*(1,) * (x.ndim - 1), -1)
    slope = scale / jnp.sqrt(variance + epsilon)
    return (x - mean.reshape(last)) * slope.reshape(last) + bias.reshape(last)


def softmax_cross_entropy(logits, labels, *, label_smoothing=0.0):
    classes = logits.shape[-1]
    target = labels if labels.ndim == logits.ndim else jax.nn.one_hot(labels, classes, dtype=logits.dtype)
    target = (1 - label_smoothing) * target + label_smoothing / classes
    return -(target * jax.nn.log_softmax(logits)).sum(-1)


def squared_error(prediction, target):
    return ((prediction - target) ** 2).reshape(prediction.shape[0], -1).sum(1)
