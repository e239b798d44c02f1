"""Layers of Flax and Equinox beside the functions, each with one ordinary call."""

import importlib.util
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.verify_elsewhere.functions import CALLS, X, normal


def of_flax() -> dict[str, tuple]:
    from flax import linen
    from flax.linen import fp8_ops

    scale, history = np.ones(1, np.float32), np.zeros(16, np.float32)
    eight_bits = (jnp.float32, jnp.float8_e4m3fn)
    last = (((1,), (0,)), ((), ()))
    image = normal(2, 5, 5, 3)

    def layer(module, x):
        variables = module.init(jax.random.key(0), x)
        return (lambda p, x: module.apply({"params": p}, x), variables["params"], x)

    return {
        "flax LayerNorm": layer(linen.LayerNorm(), X),
        "flax RMSNorm": layer(linen.RMSNorm(), X),
        "flax GroupNorm": layer(linen.GroupNorm(3), X),
        "flax Conv": layer(linen.Conv(4, (3, 3)), image),
        "flax Dense": layer(linen.Dense(5), X),
        "flax max_pool": (lambda x: linen.max_pool(x, (2, 2), (2, 2)), image),
        "flax avg_pool": (lambda x: linen.avg_pool(x, (2, 2), (2, 2)), image),
        "flax MultiHeadDotProductAttention": layer(linen.MultiHeadDotProductAttention(2), normal(2, 5, 6)),
        "flax in_qdq": (lambda x: fp8_ops.in_qdq(*eight_bits, x, scale, history), X),
        "flax out_qdq": (lambda x: fp8_ops.out_qdq(*eight_bits, x, scale, history), X),
        "flax dot_general_with_precision": (lambda a, b: fp8_ops.dot_general_with_precision(a, b, last), X, X.T.copy()),
    }


def of_equinox() -> dict[str, tuple]:
    import equinox as eqx

    def layer(made, *args) -> tuple[Callable, ...]:
        params, static = eqx.partition(made, eqx.is_inexact_array)
        return (lambda p, *args: eqx.combine(p, static)(*args), params, *args)

    key = jax.random.key(0)
    four_times = (lambda state: state[1] < 4, lambda state: (jnp.sin(state[0]) + state[0], state[1] + 1))
    return {
        "equinox LayerNorm": layer(eqx.nn.LayerNorm(6), X[0]),
        "equinox RMSNorm": layer(eqx.nn.RMSNorm(6), X[0]),
        "equinox GroupNorm": layer(eqx.nn.GroupNorm(3, 6), normal(6, 4)),
        "equinox Conv2d": layer(eqx.nn.Conv2d(3, 4, 3, key=key), normal(3, 6, 6)),
        "equinox GRUCell": layer(eqx.nn.GRUCell(6, 4, key=key), X[0], normal(4)),
        "equinox MultiheadAttention": layer(eqx.nn.MultiheadAttention(2, 6, key=key), X, X, X),
        "equinox PReLU": layer(eqx.nn.PReLU(), X),
        "equinox LSTMCell": layer(eqx.nn.LSTMCell(6, 4, key=key), X[0], (normal(4), normal(4))),
        "equinox MLP": layer(eqx.nn.MLP(6, 3, 5, 2, key=key), X[0]),
        "equinox ConvTranspose2d": layer(eqx.nn.ConvTranspose2d(3, 2, 3, stride=2, key=key), normal(3, 4, 5)),
        "equinox Embedding": layer(eqx.nn.Embedding(6, 3, key=key), np.int32(4)),
        "equinox WeightNorm": layer(eqx.nn.WeightNorm(eqx.nn.Linear(6, 4, key=key)), X[0]),
        "equinox RotaryPositionalEmbedding": (eqx.nn.RotaryPositionalEmbedding(6), X),
        "equinox MaxPool2d": (eqx.nn.MaxPool2d(2, 2), normal(3, 6, 6)),
        "equinox AvgPool1d": (eqx.nn.AvgPool1d(3, 1), normal(2, 8)),
        "equinox AdaptiveMaxPool2d": (eqx.nn.AdaptiveMaxPool2d(2), normal(3, 5, 6)),
        "equinox bounded while_loop": (
            lambda x: eqx.internal.while_loop(*four_times, (x, 0), kind="bounded", max_steps=8)[0],
            X,
        ),
    }


def public() -> dict[str, tuple]:
    """name: (function, *arguments); those of libraries that are not installed are left out."""
    found = dict(CALLS)
    for library, calls in (("flax", of_flax), ("equinox", of_equinox)):
        if importlib.util.find_spec(library):
            found.update(calls())
    return found
