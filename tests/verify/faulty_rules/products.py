"""Dense layers, flatten, squared error, scaling, dropout with a given mask, the two-layer net of the lecture."""

import jax.numpy as jnp
import numpy as np

from .joined import faults, normal


def dense(x, w, b):
    return x @ w + b[None, :]


DENSE_FAULTS = {  # {fault: (x, w, b, y, ȳ, right cotangents) -> the cotangents that differ from the right ones}
    "cotangent ignored": lambda x, w, b, y, g, right: dense_cotangents(x, w, jnp.ones_like(g)),
    "first unit only": lambda x, w, b, y, g, right: dense_cotangents(x, w, g.at[:, 1:].set(0)),
    "w not transposed": lambda x, w, b, y, g, right: right | {"x": g @ w},
    "w cotangent transposed": lambda x, w, b, y, g, right: right | {"w": (g.T @ x).reshape(w.shape)},
    "w a mean": lambda x, w, b, y, g, right: right | {"w": right["w"] / x.shape[0]},
    "b a mean": lambda x, w, b, y, g, right: right | {"b": g.mean(0)},
    "b the first sample": lambda x, w, b, y, g, right: right | {"b": g[0]},
    "b summed over units": lambda x, w, b, y, g, right: right | {"b": jnp.broadcast_to(g.sum(), b.shape)},
    "w from the first sample": lambda x, w, b, y, g, right: right | {"w": jnp.outer(x[0], g[0])},
    "x summed over the batch": lambda x, w, b, y, g, right: (
        right | {"x": jnp.broadcast_to(right["x"].sum(0, keepdims=True), x.shape)}
    ),
    "b added to w": lambda x, w, b, y, g, right: right | {"w": right["w"] + right["b"][None, :]},
    "sign of b": lambda x, w, b, y, g, right: right | {"b": -right["b"]},
    "half of x": lambda x, w, b, y, g, right: right | {"x": right["x"] / 2},
    "last input forgotten": lambda x, w, b, y, g, right: right | {"w": right["w"].at[-1].set(0)},
    "w of the forward value": lambda x, w, b, y, g, right: right | {"w": x.T @ y},
    "weight decay slipped in": lambda x, w, b, y, g, right: right | {"w": right["w"] + 0.01 * w},
    "momentum slipped in": lambda x, w, b, y, g, right: right | {"x": 0.9 * right["x"]},
    "last sample left out": lambda x, w, b, y, g, right: right | {"w": x[:-1].T @ g[:-1]},
}


def dense_cotangents(x, w, g):
    return {"x": g @ w.T, "w": x.T @ g, "b": g.sum(0)}


def dense_backward(args, y, g, *, fault=""):
    x, w, b = args
    right = dense_cotangents(x, w, g)
    bars = DENSE_FAULTS[fault](x, w, b, y, g, right) if fault else right
    return bars["x"], bars["w"], bars["b"]


def flatten(x):
    return x.reshape(x.shape[0], -1)


FLATTEN_FAULTS = {  # {fault: (x, y, ȳ) -> x̄}
    "columns first": lambda x, y, g: g.reshape(x.shape[0], x.shape[2], x.shape[1], x.shape[3]).swapaxes(1, 2),
    "channels first": lambda x, y, g: g.reshape(x.shape[0], x.shape[3], *x.shape[1:3]).transpose(0, 2, 3, 1),
    "in reverse": lambda x, y, g: g[:, ::-1].reshape(x.shape),
    "batch last": lambda x, y, g: g.T.reshape(*x.shape[1:], x.shape[0]).transpose(3, 1, 0, 2).reshape(x.shape),
    "forwards the value": lambda x, y, g: y.reshape(x.shape),
    "one off": lambda x, y, g: jnp.roll(g, 1, 1).reshape(x.shape),
}


def flatten_backward(args, y, g, *, fault=""):
    (x,) = args
    return (FLATTEN_FAULTS[fault](x, y, g) if fault else g.reshape(x.shape),)


def squared_error(prediction, target):
    return ((prediction - target) ** 2).sum(-1)


SQUARED_FAULTS = {  # {fault: (prediction, target, L̄, right cotangent of the prediction) -> both cotangents}
    "factor two forgotten": lambda p, t, g, d: (d / 2, -d / 2),
    "sign of both": lambda p, t, g, d: (-d, d),
    "target like the prediction": lambda p, t, g, d: (d, d),
    "target forgotten": lambda p, t, g, d: (d, jnp.zeros_like(t)),
    "divided by the features": lambda p, t, g, d: (d / p.shape[1], -d / p.shape[1]),
    "divided by the batch": lambda p, t, g, d: (d / p.shape[0], -d / p.shape[0]),
    "cotangent ignored": lambda p, t, g, d: (2 * (p - t), -2 * (p - t)),
    "cotangent summed": lambda p, t, g, d: (2 * (p - t) * g.sum(), -2 * (p - t) * g.sum()),
    "absolute error": lambda p, t, g, d: (2 * jnp.abs(p - t) * g[:, None], -2 * jnp.abs(p - t) * g[:, None]),
}


def squared_backward(args, y, g, *, fault=""):
    p, t = args
    d = 2 * (p - t) * g[:, None]
    return SQUARED_FAULTS[fault](p, t, g, d) if fault else (d, -d)


def masked(x, mask):
    return x * mask / 0.75


MASKED_FAULTS = {  # {fault: (y, mask, ȳ) -> x̄}
    "scale forgotten": lambda y, mask, g: g * mask,
    "scaled twice": lambda y, mask, g: g * mask / 0.75**2,
    "mask forgotten": lambda y, mask, g: g / 0.75,
    "mask of the value": lambda y, mask, g: jnp.where(y > 0, g, jnp.zeros_like(g)) / 0.75,
}


def masked_backward(args, y, g, *, fault=""):
    x, mask = args
    return MASKED_FAULTS[fault](y, mask, g) if fault else g * mask / 0.75, (g * x) / 0.75


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
