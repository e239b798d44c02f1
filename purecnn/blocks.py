"""Rules as layers of a chain: each function here names the options of one rule and says how its parameters start.

Chain("net", (blocks.conv2d(6, 5, padding="SAME"), blocks.relu(), blocks.max_pool2d(), blocks.flatten(), …))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from purecnn.arguments import accumulation_dtype
from purecnn.chain import Chain, Layer
from purecnn.geometry import pair
from purecnn.initializers import he_normal, ones, zeros
from purecnn.layers import (
    average_pooling,
    batch_normalization,
    convolution,
    flattening,
    fully_connected,
    logistic,
    max_pooling,
    random_dropout,
    rectified_linear,
    response_normalization,
    soft_max,
)


def from_rule(name: str, rule: Callable, fwd: Callable, bwd: Callable, *, init=None, names=(), **options) -> Layer:
    """A layer that is one rule: `rule(x, *parameters, **options)`, its parameters called `names`.

    `init(key, shape, dtype)` makes the dict of parameters, where there are some.
    """

    def apply(params, state, x, train, key):
        return rule(x, **params, **options), state

    def forward(params, state, x, train, key):
        y, residuals = fwd(x, **params, **options)
        return y, state, residuals

    def backward(residuals, y_bar, train):
        x_bar, *bars = bwd(residuals, y_bar, **options)
        return x_bar, dict(zip(names, bars, strict=False))

    return Layer(name, apply, forward, backward, **({} if init is None else {"init": init}))


def conv2d(features: int, window, *, bias: bool = True, groups: int = 1, init_w=he_normal, **options) -> Layer:
    """`purecnn.conv2d` with `features` output channels; `options` are its stride, padding, dilation, algorithm."""
    size = pair("conv2d", "window", window)

    def init(key, shape, dtype):
        if len(shape) != 3:
            raise ValueError(f"conv2d: input_shape: got {shape}, expected that of one sample, (H, W, C)")
        w = init_w(key, (*size, shape[2] // groups, features), dtype)
        return {"w": w, "b": zeros(key, (features,), dtype)} if bias else {"w": w}

    pair_of_rules = (convolution.conv2d, convolution.conv2d_fwd, convolution.conv2d_bwd)
    return from_rule("conv2d", *pair_of_rules, init=init, names=("w", "b")[: 1 + bias], groups=groups, **options)


def dense(features: int, *, bias: bool = True, init_w=he_normal) -> Layer:
    """`purecnn.dense` with `features` outputs."""

    def init(key, shape, dtype):
        if len(shape) != 1:
            raise ValueError(f"dense: input_shape: got {shape}, expected that of one sample, (in,); flatten first")
        w = init_w(key, (shape[0], features), dtype)
        return {"w": w, "b": zeros(key, (features,), dtype)} if bias else {"w": w}

    rules = (fully_connected.dense, fully_connected.dense_fwd, fully_connected.dense_bwd)
    return from_rule("dense", *rules, init=init, names=("w", "b")[: 1 + bias])


def relu(**options) -> Layer:
    rules = (rectified_linear.relu, rectified_linear.relu_fwd, rectified_linear.relu_bwd)
    return from_rule("relu", *rules, **options)


def sigmoid() -> Layer:
    return from_rule("sigmoid", logistic.sigmoid, logistic.sigmoid_fwd, logistic.sigmoid_bwd)


def softmax() -> Layer:
    return from_rule("softmax", soft_max.softmax, soft_max.softmax_fwd, soft_max.softmax_bwd)


def flatten() -> Layer:
    return from_rule("flatten", flattening.flatten, flattening.flatten_fwd, flattening.flatten_bwd)


def max_pool2d(window=2, **options) -> Layer:
    rules = (max_pooling.max_pool2d, max_pooling.max_pool2d_fwd, max_pooling.max_pool2d_bwd)
    return from_rule("max_pool2d", *rules, window=window, **options)


def avg_pool2d(window=2, **options) -> Layer:
    rules = (average_pooling.avg_pool2d, average_pooling.avg_pool2d_fwd, average_pooling.avg_pool2d_bwd)
    return from_rule("avg_pool2d", *rules, window=window, **options)


def global_avg_pool() -> Layer:
    pool = average_pooling
    return from_rule("global_avg_pool", pool.global_avg_pool, pool.global_avg_pool_fwd, pool.global_avg_pool_bwd)


def local_response_norm(**options) -> Layer:
    norm = response_normalization
    rules = (norm.local_response_norm, norm.local_response_norm_fwd, norm.local_response_norm_bwd)
    return from_rule("local_response_norm", *rules, **options)


def dropout(rate: float = 0.5) -> Layer:
    """`purecnn.dropout` when training, with a key of its own; nothing otherwise, nor at rate 0."""

    def active(train, key):
        if train and rate and key is None:
            raise ValueError("dropout: key: got None, expected a key from jax.random.key when train=True")
        return train and rate

    def apply(params, state, x, train, key):
        return (random_dropout.dropout(x, key, rate) if active(train, key) else x), state

    def forward(params, state, x, train, key):
        if not active(train, key):
            return x, state, ()
        y, residuals = random_dropout.dropout_fwd(x, key, rate)
        return y, state, residuals

    def backward(residuals, y_bar, train):
        return (random_dropout.dropout_bwd(residuals, y_bar, rate)[0] if train and rate else y_bar), {}

    return Layer("dropout", apply, forward, backward)


def batch_norm(*, momentum: float = 0.9, epsilon: float = 1e-5) -> Layer:
    """`purecnn.batch_norm` when training, `purecnn.batch_norm_inference` with the running statistics otherwise.

    A training step returns running statistics momentum · old + (1 − momentum) · batch, as the state after it; the
    gradient does not go through them. They are the biased variance's, in float32 or wider.
    """
    norm = batch_normalization

    def statistics(state):
        if not state:
            raise ValueError(
                "batch_norm: state: got none, expected running statistics (Chain.init_state) without train"
            )
        return state["mean"], state["variance"]

    def updated(state, mean, variance):
        fresh = {"mean": mean, "variance": variance}
        return {name: momentum * old + (1 - momentum) * fresh[name] for name, old in state.items()}

    def apply(params, state, x, train, key):
        if not train:
            y = norm.batch_norm_inference(x, params["scale"], params["bias"], *statistics(state), epsilon=epsilon)
            return y, state
        y, mean, variance = norm.batch_norm(x, params["scale"], params["bias"], epsilon=epsilon)
        return y, updated(state, *jax.lax.stop_gradient((mean, variance)))

    def forward(params, state, x, train, key):
        if not train:
            arrays = (x, params["scale"], params["bias"], *statistics(state))
            y, residuals = norm.batch_norm_inference_fwd(*arrays, epsilon=epsilon)
            return y, state, residuals
        (y, mean, variance), residuals = norm.batch_norm_fwd(x, params["scale"], params["bias"], epsilon=epsilon)
        return y, updated(state, mean, variance), residuals

    def backward(residuals, y_bar, train):
        if train:
            still = jnp.zeros_like(residuals[2])
            x_bar, scale, bias = norm.batch_norm_bwd(residuals, (y_bar, still, still), epsilon=epsilon)
        else:
            x_bar, scale, bias, *_ = norm.batch_norm_inference_bwd(residuals, y_bar, epsilon=epsilon)
        return x_bar, {"scale": scale, "bias": bias}

    def init(key, shape, dtype):
        return {"scale": ones(key, shape[-1:], dtype), "bias": zeros(key, shape[-1:], dtype)}

    def init_state(shape, dtype):
        wide = accumulation_dtype(dtype)
        return {"mean": jnp.zeros(shape[-1:], wide), "variance": jnp.ones(shape[-1:], wide)}

    return Layer("batch_norm", apply, forward, backward, init, init_state)


def add_input(*body: Layer, shortcut: tuple[Layer, ...] = ()) -> Layer:
    """y = body(x) + shortcut(x): the residual block of He et al. 2015; an empty shortcut is x itself.

    Both see x, so both send it a cotangent: x̄ = body̅(ȳ) + shortcut̅(ȳ). Parameters and state are
    `{"body": […], "shortcut": […]}`.
    """
    ways = {"body": Chain("body", body), "shortcut": Chain("shortcut", shortcut)}

    def each(call: Callable[[str, Chain], Any]) -> dict[str, Any]:
        return {name: call(name, way) for name, way in ways.items()}

    def split(key):
        return dict(zip(ways, (None, None) if key is None else jax.random.split(key), strict=True))

    def add(outputs):
        a, b = outputs
        if a.shape != b.shape:
            raise ValueError(
                f"add_input: body: got samples of shape {a.shape[1:]}, expected {b.shape[1:]}, the shortcut's"
            )
        return a + b

    def apply(params, state, x, train, key):
        keys = split(key)
        out = each(lambda n, way: way.apply_with_state(params[n], x, state=state.get(n), train=train, key=keys[n]))
        return add([y for y, _ in out.values()]), {n: s for n, (_, s) in out.items()}

    def forward(params, state, x, train, key):
        keys = split(key)
        out = each(lambda n, way: way.forward(params[n], x, state=state.get(n), train=train, key=keys[n]))
        y = add([y for y, _, _ in out.values()])
        return y, {n: s for n, (_, s, _) in out.items()}, {n: r for n, (_, _, r) in out.items()}

    def backward(residuals, y_bar, train):
        out = each(lambda n, way: way.backward(residuals[n], y_bar, train=train))
        return add([x_bar for x_bar, _ in out.values()]), {n: p for n, (_, p) in out.items()}

    def init(key, shape, dtype):
        keys = split(key)
        return each(lambda n, way: way.init(keys[n], shape, dtype))

    def init_state(shape, dtype):
        return each(lambda _, way: way.init_state(shape, dtype))

    return Layer("add_input", apply, forward, backward, init, init_state)
