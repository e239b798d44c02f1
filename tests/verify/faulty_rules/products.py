"""Dense layers, flatten, squared error, scaling, dropout with a given mask, the two-layer net of the lecture."""

import jax.numpy as jnp
import numpy as np

from .joined import faults, normal


def dense(x, w, b):
    return x @ w + b[None, :]


def dense_backward(args, y, g, *, fault=""):
    x, w, b = args
    if fault == "cotangent ignored":
        g = jnp.ones_like(g)
    if fault == "first unit only":
        g = g.at[:, 1:].set(0)
    x_bar, w_bar, b_bar = g @ w.T, x.T @ g, g.sum(0)
    if fault == "w not transposed":
        x_bar = g @ w
    if fault == "w cotangent transposed":
        w_bar = (g.T @ x).reshape(w.shape)
    if fault == "w a mean":
        w_bar = w_bar / x.shape[0]
    if fault == "b a mean":
        b_bar = g.mean(0)
    if fault == "b the first sample":
        b_bar = g[0]
    if fault == "b summed over units":
        b_bar = jnp.broadcast_to(g.sum(), b.shape)
    if fault == "w from the first sample":
        w_bar = jnp.outer(x[0], g[0])
    if fault == "x summed over the batch":
        x_bar = jnp.broadcast_to(x_bar.sum(0, keepdims=True), x.shape)
    if fault == "b added to w":
        w_bar = w_bar + b_bar[None, :]
    if fault == "sign of b":
        b_bar = -b_bar
    if fault == "half of x":
        x_bar = x_bar / 2
    if fault == "last input forgotten":
        w_bar = w_bar.at[-1].set(0)
    if fault == "w of the forward value":
        w_bar = x.T @ y
    if fault == "weight decay slipped in":
        w_bar = w_bar + 0.01 * w
    if fault == "momentum slipped in":
        x_bar = 0.9 * x_bar
    if fault == "last sample left out":
        w_bar = x[:-1].T @ g[:-1]
    return x_bar, w_bar, b_bar


def flatten(x):
    return x.reshape(x.shape[0], -1)


def flatten_backward(args, y, g, *, fault=""):
    (x,) = args
    n, h, w, c = x.shape
    if fault == "columns first":
        return (g.reshape(n, w, h, c).swapaxes(1, 2),)
    if fault == "channels first":
        return (g.reshape(n, c, h, w).transpose(0, 2, 3, 1),)
    if fault == "in reverse":
        return (g[:, ::-1].reshape(x.shape),)
    if fault == "batch last":
        return (g.T.reshape(h, w, c, n).transpose(3, 1, 0, 2).reshape(x.shape),)
    if fault == "forwards the value":
        return (y.reshape(x.shape),)
    if fault == "one off":
        return (jnp.roll(g, 1, 1).reshape(x.shape),)
    return (g.reshape(x.shape),)


def squared_error(prediction, target):
    return ((prediction - target) ** 2).sum(-1)


def squared_backward(args, y, g, *, fault=""):
    p, t = args
    d = 2 * (p - t) * g[:, None]
    if fault == "factor two forgotten":
        return d / 2, -d / 2
    if fault == "sign of both":
        return -d, d
    if fault == "target like the prediction":
        return d, d
    if fault == "target forgotten":
        return d, jnp.zeros_like(t)
    if fault == "divided by the features":
        return d / p.shape[1], -d / p.shape[1]
    if fault == "divided by the batch":
        return d / p.shape[0], -d / p.shape[0]
    if fault == "cotangent ignored":
        d = 2 * (p - t)
        return d, -d
    if fault == "cotangent summed":
        d = 2 * (p - t) * g.sum()
        return d, -d
    if fault == "absolute error":
        d = 2 * jnp.abs(p - t) * g[:, None]
        return d, -d
    return d, -d


def masked(x, mask):
    return x * mask / 0.75


def masked_backward(args, y, g, *, fault=""):
    x, mask = args
    if fault == "scale forgotten":
        return g * mask, (g * x) / 0.75
    if fault == "scaled twice":
        return g * mask / 0.75**2, (g * x) / 0.75
    if fault == "mask forgotten":
        return g / 0.75, (g * x) / 0.75
    if fault == "mask of the value":
        return jnp.where(y > 0, g, jnp.zeros_like(g)) / 0.75, (g * x) / 0.75
    return g * mask / 0.75, (g * x) / 0.75


X, W, B = normal(1, 5, 4), normal(2, 4, 4), normal(3, 4)
MASK = (np.random.default_rng(7).random((4, 6)) < 0.75).astype(np.float32)
RULES = (
    faults(
        "dense",
        dense,
        dense_backward,
        (X, W, B),
        {
            "cotangent ignored": ("everywhere", "same value"),
            "first unit only": ("channel", "zero", "everywhere"),
            "w not transposed": ("everywhere",),
            "w cotangent transposed": ("transpose",),
            "w a mean": ("batch size",),
            "b a mean": ("batch size",),
            "b the first sample": ("everywhere",),
            "b summed over units": ("same value",),
            "w from the first sample": ("everywhere",),
            "x summed over the batch": ("everywhere",),
            "b added to w": ("everywhere",),
            "sign of b": ("sign",),
            "half of x": ("×1/2",),
            "last input forgotten": ("zero, last",),
            "w of the forward value": ("everywhere",),
            "weight decay slipped in": ("everywhere",),
            "momentum slipped in": ("×0.9",),
            "last sample left out": ("everywhere",),
        },
    )
    + faults(
        "flatten",
        flatten,
        flatten_backward,
        (normal(4, 3, 4, 4, 2),),
        {
            "columns first": ("transpose of axes 1 and 2",),
            "channels first": ("permutation",),
            "in reverse": ("flipped along axes (1, 2, 3)",),
            "batch last": ("transpose", "permutation"),
            "forwards the value": ("everywhere",),
            "one off": ("permutation", "rolled"),
        },
    )
    + faults(
        "squared error",
        squared_error,
        squared_backward,
        (normal(5, 4, 3), normal(6, 4, 3)),
        {
            "factor two forgotten": ("×1/2",),
            "sign of both": ("sign",),
            "target like the prediction": ("sign",),
            "target forgotten": ("zero",),
            "divided by the features": ("×1/3",),
            "divided by the batch": ("batch size",),
            "cotangent ignored": ("everywhere",),
            "cotangent summed": ("everywhere",),
            "absolute error": ("sign",),
        },
    )
    + faults(
        "masked",
        masked,
        masked_backward,
        (normal(8, 4, 6), MASK),
        {
            "scale forgotten": ("×0.75",),
            "scaled twice": ("×1.333",),
            "mask forgotten": ("nonzero", "ties", "scattered"),
            "mask of the value": ("zero", "scattered"),
        },
    )
)
RIGHT = (
    (dense, dense_backward, (X, W, B)),
    (flatten, flatten_backward, (normal(4, 3, 4, 4, 2),)),
    (squared_error, squared_backward, (normal(5, 4, 3), normal(6, 4, 3))),
    (masked, masked_backward, (normal(8, 4, 6), MASK)),
)
