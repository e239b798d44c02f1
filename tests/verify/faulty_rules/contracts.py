"""Rules that break what JAX asks of a rule: form, dtype, purity, precision."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from .joined import Wrong, joined, normal


def scaled(x, s):
    return jnp.tanh(x) * s[None, :]


def right(args, y, g):
    x, s = args
    t = jnp.tanh(x)
    return g * s[None, :] * (1 - t * t), (g * t).sum(0)


def summed(x):
    return x.sum(0)


def changed(change):
    """The right backward with its two cotangents passed through `change`."""
    return joined(scaled, lambda args, y, g: change(*right(args, y, g), g))


COUNTER = itertools.count()


def _state(x_bar, s_bar, g):
    return x_bar * (1 + 0.01 * next(COUNTER)), s_bar


def _noise(x_bar, s_bar, g):
    return x_bar + np.random.standard_normal(x_bar.shape).astype(x_bar.dtype) * 1e-3, s_bar  # noqa: NPY002 (the fault)


def _raises(x_bar, s_bar, g):
    raise RuntimeError("not implemented yet")


def column_sum(x, b):
    return x + b[None, :]


def _narrow_bias(args, y, g):
    total = jax.lax.scan(lambda c, row: (c + row, None), jnp.zeros_like(g[0]), g)[0]
    return g, total


def _half_inside(args, y, g):
    return g, g.astype(jnp.float16).sum(0).astype(g.dtype)


def _float32_always(args, y, g):
    return g.astype(jnp.float32), g.sum(0).astype(jnp.float32)


def _concrete(args, y, g):
    return (g, g.sum(0)) if float(g.sum()) > 1e30 else (g, g.sum(0) * 1)


def _batch_axis_by_rank(args, y, g):
    return g, np.asarray(g).sum(0)


def _flat_residual(args, y, g):
    x, b = args
    return g, g.reshape(-1, b.shape[0]).sum(0)[::-1][::-1] if x.shape[0] != 1 else jnp.zeros_like(b)


def hidden_zero(x):
    return jnp.sqrt(jnp.where(x > 0, x, jnp.ones_like(x))) * (x > 0).astype(x.dtype)


def _nan_at_zero(args, y, g):
    (x,) = args
    return (g * jnp.where(x > 0, 0.5, 0.0).astype(g.dtype) / jnp.sqrt(jnp.maximum(x, 0)),)


X, S, BIG = normal(1, 4, 3), normal(2, 3), normal(3, 6, 3)
ARGS = (X, S)
RULES = (
    Wrong(
        "contract: float32 for a float16 argument",
        joined(column_sum, _float32_always),
        column_sum,
        (BIG, S),
        ("dtype",),
    ),
    Wrong("contract: one cotangent too few", changed(lambda a, b, g: (a,)), scaled, ARGS, ("raises",)),
    Wrong("contract: one cotangent too many", changed(lambda a, b, g: (a, b, b)), scaled, ARGS, ("raises",)),
    Wrong("contract: a list in a dictionary", changed(lambda a, b, g: {"x": a, "s": b}), scaled, ARGS, ("raises",)),
    Wrong(
        "contract: not summed over the batch",
        changed(lambda a, b, g: (a, jnp.broadcast_to(b[None], g.shape))),
        scaled,
        ARGS,
        ("raises", "shape"),
    ),
    Wrong("contract: kept dimension", changed(lambda a, b, g: (a, b[None])), scaled, ARGS, ("raises", "shape")),
    Wrong("contract: transposed", changed(lambda a, b, g: (a.T, b)), scaled, ARGS, ("raises", "shape")),
    Wrong("contract: None for a float", changed(lambda a, b, g: (a, None)), scaled, ARGS, ("zero",)),
    Wrong("contract: exchanged order", changed(lambda a, b, g: (b, a)), scaled, ARGS, ("raises", "shape")),
    Wrong(
        "contract: half precision returned",
        changed(lambda a, b, g: (a.astype(jnp.bfloat16), b)),
        scaled,
        ARGS,
        ("dtype", "raises"),
    ),
    Wrong("contract: NaN", changed(lambda a, b, g: (a.at[0, 0].set(jnp.nan), b)), scaled, ARGS, ("not finite",)),
    Wrong("contract: infinite", changed(lambda a, b, g: (a, b / 0.0)), scaled, ARGS, ("not finite",)),
    Wrong("contract: state between calls", changed(_state), scaled, ARGS, ("×", "everywhere", "not repeatable")),
    Wrong("contract: noise", changed(_noise), scaled, ARGS, ("everywhere", "not repeatable")),
    Wrong("contract: raises", changed(_raises), scaled, ARGS, ("raises",)),
    Wrong("contract: adds a constant", changed(lambda a, b, g: (a + 0.1, b)), scaled, ARGS, ("offset",)),
    Wrong("contract: normalised cotangent", changed(lambda a, b, g: (a / jnp.linalg.norm(a), b)), scaled, ARGS, ("×",)),
    Wrong(
        "contract: gradient clipping inside",
        changed(lambda a, b, g: (jnp.clip(a, -0.5, 0.5), b)),
        scaled,
        ARGS,
        ("scattered", "one element", "row", "channel", "sample"),
    ),
    Wrong("contract: stop_gradient", changed(lambda a, b, g: (jnp.zeros_like(a), b)), scaled, ARGS, ("zero",)),
    Wrong(
        "contract: sums in the narrow type",
        joined(column_sum, _narrow_bias),
        column_sum,
        (BIG.astype(jnp.bfloat16), S.astype(jnp.bfloat16)),
        ("everywhere", "scattered", "almost", "×", "only", "row", "sample"),
    ),
    Wrong(
        "contract: half precision inside",
        joined(column_sum, _half_inside),
        column_sum,
        (BIG, S),
        ("everywhere", "scattered", "almost"),
    ),
    Wrong("contract: Python branch on a value", joined(column_sum, _concrete), column_sum, (BIG, S), ("raises",)),
    Wrong("contract: NumPy on a tracer", joined(column_sum, _batch_axis_by_rank), column_sum, (BIG, S), ("raises",)),
    Wrong("contract: a batch of one forgotten", joined(column_sum, _flat_residual), column_sum, (BIG, S), ("zero",)),
    Wrong("contract: 0/0 behind a mask", joined(hidden_zero, _nan_at_zero), hidden_zero, (X,), ("not finite",)),
)
RIGHT = ((scaled, right, ARGS),)
