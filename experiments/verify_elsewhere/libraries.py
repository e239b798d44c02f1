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
    return {
        "equinox LayerNorm": layer(eqx.nn.LayerNorm(6), X[0]),
        "equinox RMSNorm": layer(eqx.nn.RMSNorm(6), X[0]),
        "equinox GroupNorm": layer(eqx.nn.GroupNorm(3, 6), normal(6, 4)),
        "equinox Conv2d": layer(eqx.nn.Conv2d(3, 4, 3, key=key), normal(3, 6, 6)),
        "equinox GRUCell": layer(eqx.nn.GRUCell(6, 4, key=key), X[0], normal(4)),
        "equinox MultiheadAttention": layer(eqx.nn.MultiheadAttention(2, 6, key=key), X, X, X),
        "equinox PReLU": layer(eqx.nn.PReLU(), X),
    }


def public() -> dict[str, tuple]:
    """name: (function, *arguments); those of libraries that are not installed are left out."""
    found = dict(CALLS)
    for library, calls in (("flax", of_flax), ("equinox", of_equinox)):
        if importlib.util.find_spec(library):
            found.update(calls())
    return found
