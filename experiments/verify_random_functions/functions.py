"""Functions composed at random of what people write, each with the arguments of one ordinary call.

A function transforms its first argument, joins the others to it, transforms the result and ends in a reduction or in
the whole array. Left out is what has no derivative at ordinary points of its domain, such as the norm of zeros, or what
autodiff loses the digits of there, such as sin(x) / x beside 0.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

ELEMENTWISE = {
    "tanh": jnp.tanh,
    "sin": jnp.sin,
    "exp(-x²)": lambda x: jnp.exp(-x * x),
    "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid,
    "log1p(x²)": lambda x: jnp.log1p(x * x),
    "√(1 + x²)": lambda x: jnp.sqrt(1 + x * x),
    "x²": lambda x: x * x,
    "x³": lambda x: x**3,
    "erf": lax.erf,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "arctan": jnp.arctan,
    "logaddexp(x, -x)": lambda x: jnp.logaddexp(x, -x),
    "mish": jax.nn.mish,
    "squareplus": jax.nn.squareplus,
    "log_sigmoid": jax.nn.log_sigmoid,
    "i0e": lax.bessel_i0e,
    "lgamma(1 + x²)": lambda x: lax.lgamma(1 + x * x),
    "relu": jax.nn.relu,
    "abs": jnp.abs,
    "clip": lambda x: jnp.clip(x, -1, 1),
    "leaky relu": lambda x: jnp.maximum(x, 0.1 * x),
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "celu": jax.nn.celu,
    "relu6": jax.nn.relu6,
    "huber": lambda x: jnp.where(jnp.abs(x) < 1, 0.5 * x * x, jnp.abs(x) - 0.5),
    "softsign": jax.nn.soft_sign,
    "expm1": lambda x: jnp.expm1(jnp.clip(x, -3, 3)),
    "x round(x)": lambda x: x * jnp.round(x + 0.25),
    "guarded √x": lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0),
}
OF_TWO = {
    "+": jnp.add,
    "-": jnp.subtract,
    "*": jnp.multiply,
    "x / (1 + y²)": lambda x, y: x / (1 + y * y),
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "logaddexp": jnp.logaddexp,
    "√(x² + y²)": lambda x, y: jnp.sqrt(x * x + y * y + 1e-6),
    "where(x > y)": lambda x, y: jnp.where(x > y, x, 2 * y),
    "arctan2": lambda x, y: jnp.arctan2(x, 1 + y * y),
    "gate": lambda x, y: x * jax.nn.sigmoid(y),
}


def _rows(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0], -1)


def _gram(x: jax.Array) -> jax.Array:
    return _rows(x) @ _rows(x).T + jnp.eye(x.shape[0], dtype=x.dtype)


OF_ROWS = {
    "softmax": lambda x: jax.nn.softmax(x, -1),
    "log_softmax": lambda x: jax.nn.log_softmax(x, -1),
    "cumsum": lambda x: jnp.cumsum(x, 0),
    "cummax": lambda x: lax.cummax(x, 0),
    "cumprod": lambda x: jnp.cumprod(jnp.tanh(x), -1),
    "sort": lambda x: jnp.sort(x, -1),
    "rms norm": lambda x: x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-6),
    "layer norm": lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5),
    "roll": lambda x: jnp.roll(x, 1, 0),
    "reverse": lambda x: x[::-1],
    "difference": lambda x: jnp.pad(jnp.diff(x, axis=-1), [(0, 0)] * (x.ndim - 1) + [(0, 1)]),
    "fft": lambda x: jnp.fft.irfft(jnp.fft.rfft(x, axis=-1) * 0.5, x.shape[-1], axis=-1).astype(x.dtype),
    "scan": lambda x: lax.scan(lambda c, t: (0.5 * jnp.tanh(c) + t, c * t), jnp.zeros_like(x[0]), x)[1],
    "fori_loop": lambda x: lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) + 0.1 * i.astype(c.dtype), x),
    "map": lambda x: lax.map(lambda t: t * t.sum(), x),
    "associative_scan": lambda x: lax.associative_scan(jnp.add, x),
    "cond": lambda x: lax.cond(x.sum() > 0, lambda t: t * 2, jnp.sin, x),
    "relu(x - mean)": lambda x: jax.nn.relu(x - x.mean(-1, keepdims=True)),
    "x - mean": lambda x: x - x.mean(0),
}
OF_MATRICES = {
    "distances": lambda x: jnp.sqrt(((_rows(x)[:, None] - _rows(x)[None]) ** 2).sum(-1) + 1e-5) @ _rows(x),
    "attention": lambda x: jax.nn.softmax(_rows(x) @ _rows(x).T, -1) @ _rows(x),
    "causal sum": lambda x: jnp.tril(jnp.ones((x.shape[0],) * 2, x.dtype)) @ _rows(x),
    "log det": lambda x: x * jnp.linalg.slogdet(_gram(x))[1],
    "solve": lambda x: jnp.linalg.solve(_gram(x), _rows(x)),
    "cholesky": lambda x: jnp.linalg.cholesky(_gram(x)),
}
ENDS = {
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(),
    "logsumexp": lambda x: jax.nn.logsumexp(x, -1),
    "max": lambda x: x.max(-1),
    "norm": lambda x: jnp.sqrt((x * x).sum(-1) + 1e-8),
    "variance": lambda x: x.var(0),
    "all": lambda x: x,
    "product of cosines": lambda x: jnp.prod(jnp.cos(x), -1),
    "median": lambda x: jnp.median(x, -1),
    "top two": lambda x: lax.top_k(x, 2)[0],
    "entry of the largest": lambda x: jnp.take_along_axis(x, jnp.argmax(x, -1)[..., None], -1)[..., 0],
}
SHAPES = [(4, 6), (3, 5), (8, 4), (2, 3, 4), (5, 5), (7,), (1, 8), (6, 1)]
KINDS = ["full", "full", "full", "row", "number", "weight", "rows", "mask", "labels"]  # of arguments
OPTIONS: list[dict[str, Any]] = [{}, {}, {}, {"scale": 0.5}, {"squared": True}, {"epsilon": 0.1}]


@dataclass(frozen=True)
class Drawn:
    """A function, the arguments and options of one call, and how it is composed, in words."""

    function: Callable
    args: list[jax.Array]
    options: dict[str, Any]
    words: str


def drawn(seed: int) -> Drawn:
    """The function of a seed."""
    choose = random.Random(seed)
    shape = choose.choice(SHAPES)
    kinds = ["full", *choose.choices(KINDS, k=choose.choice([0, 0, 1, 1, 2]))]
    first = [choose.choice(list(ELEMENTWISE)) for _ in kinds]
    joined = [choose.choice(list(OF_TWO)) for _ in kinds]
    later = ELEMENTWISE | OF_ROWS | (OF_MATRICES if len(shape) > 1 else {})
    steps = [choose.choice(list(choose.choice([ELEMENTWISE, later]))) for _ in range(choose.randint(0, 2))]
    end, options = choose.choice(list(ENDS)), choose.choice(OPTIONS)
    rng = np.random.default_rng(seed)
    args = [_argument(kind, shape, rng) for kind in kinds]

    def function(*given, scale=1.0, squared=False, epsilon=None):
        x = ELEMENTWISE[first[0]](given[0])
        for kind, before, how, y in zip(kinds[1:], first[1:], joined[1:], given[1:], strict=True):
            x = _joined(x, y, kind, ELEMENTWISE[before], OF_TWO[how])
        for step in steps:
            x = later[step](x)
        x = x * x if squared else x * scale
        x = x if epsilon is None else x / jnp.sqrt(x * x + epsilon)
        return ENDS[end](x)

    others = [f"{b} {h} {k}" for k, b, h in zip(kinds[1:], first[1:], joined[1:], strict=True)]
    words = " → ".join([f"{shape} {first[0]}", *others, *steps, *(f"{k}={v}" for k, v in options.items()), end])
    return Drawn(function, args, options, words)


def _argument(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> jax.Array:
    if kind == "rows":
        return jnp.asarray(rng.integers(0, shape[0], 4), jnp.int32)
    if kind == "labels":
        return jnp.asarray(rng.integers(0, shape[-1], shape[:-1]), jnp.int32)
    if kind == "mask":
        return jnp.asarray(rng.random(shape) < 0.6)
    sizes = {"full": shape, "row": shape[-1:], "number": (), "weight": (shape[-1], 3)}
    return jnp.asarray(rng.standard_normal(sizes[kind]), jnp.float32)


def _joined(x: jax.Array, y: jax.Array, kind: str, before: Callable, how: Callable) -> jax.Array:
    """A second argument joined to what the first has become; by its sum where their shapes no longer fit."""
    if kind == "weight":
        return x @ y if x.shape[-1] == y.shape[0] else x * y.sum()
    if kind == "rows":
        return x[y]
    if kind == "mask":
        return jnp.where(y, x, 0) if y.shape == x.shape else x * y.sum()
    if kind == "labels":
        return x - jax.nn.one_hot(y, x.shape[-1], dtype=x.dtype) if y.shape == x.shape[:-1] else x + y.sum()
    fits = y.ndim <= x.ndim and x.shape[x.ndim - y.ndim :] == y.shape
    return how(x, before(y if fits else y.mean()))
