"""Rules as layers of a chain: each function here names the options of one rule and says how its parameters start.

Chain("net", (nn.conv2d(6, 5, padding="SAME"), nn.relu(), nn.max_pool2d(), nn.flatten(), …))
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from purecnn.chain import Layer
from purecnn.composition import residual as residual
from purecnn.geometry import pair
from purecnn.initializers import he_normal, ones, zeros
from purecnn.layers.avg_pool2d import avg_pool2d as avg_pool2d_rule
from purecnn.layers.batch_norm import batch_norm as batch_norm_rule
from purecnn.layers.batch_norm_inference import batch_norm_inference as batch_norm_inference_rule
from purecnn.layers.conv2d import conv2d as conv2d_rule
from purecnn.layers.conv_transpose2d import conv_transpose2d as conv_transpose2d_rule
from purecnn.layers.dense import dense as dense_rule
from purecnn.layers.dropout import dropout as dropout_rule
from purecnn.layers.flatten import flatten as flatten_rule
from purecnn.layers.global_avg_pool import global_avg_pool as global_avg_pool_rule
from purecnn.layers.local_response_norm import local_response_norm as local_response_norm_rule
from purecnn.layers.max_pool2d import max_pool2d as max_pool2d_rule
from purecnn.layers.relu import relu as relu_rule
from purecnn.layers.sigmoid import sigmoid as sigmoid_rule
from purecnn.layers.softmax import softmax as softmax_rule
from purecnn.ops import accumulation_dtype, swap_groups
from purecnn.rules import Rule


def from_rule(rule: Rule, *, init=None, names: tuple[str, ...] = (), **options) -> Layer:
    """A layer that is one rule: `rule(x, *parameters, **options)`, its parameters called `names`.

    `init(key, shape, dtype)` makes the dict of parameters, where there are some.
    """

    def apply(params, state, x, train, key):
        return rule(x, **params, **options), state

    def forward(params, state, x, train, key):
        y, residuals = rule.fwd(x, **params, **options)
        return y, state, residuals

    def backward(residuals, y_bar, train):
        x_bar, *bars = rule.bwd(residuals, y_bar, **options)
        return x_bar, dict(zip(names, bars, strict=False))

    return Layer(rule.__name__, apply, forward, backward, **({} if init is None else {"init": init}))


def conv2d(features: int, window, *, bias: bool = True, groups: int = 1, init_w=he_normal, **options) -> Layer:
    """`purecnn.conv2d` with `features` output channels; `options` are its stride, padding, dilation, algorithm."""
    size = pair("conv2d", "window", window)

    def init(key, shape, dtype):
        if len(shape) != 3:
            raise ValueError(f"conv2d: input_shape: got {shape}, expected that of one sample, (H, W, C)")
        w = init_w(key, (*size, shape[2] // groups, features), dtype)
        return {"w": w, "b": zeros(key, (features,), dtype)} if bias else {"w": w}

    return from_rule(conv2d_rule, init=init, names=("w", "b")[: 1 + bias], groups=groups, **options)


def conv_transpose2d(
    features: int, window, *, bias: bool = True, groups: int = 1, init_w=he_normal, **options
) -> Layer:
    """`purecnn.conv_transpose2d` with `features` output channels; `options` as there.

    `init_w` makes the kernel as `conv2d` would have it, (kh, kw, C/groups, features), so that its fan-in is y's.
    """
    size = pair("conv_transpose2d", "window", window)

    def init(key, shape, dtype):
        if len(shape) != 3:
            raise ValueError(f"conv_transpose2d: input_shape: got {shape}, expected that of one sample, (H, W, C)")
        w = swap_groups(init_w(key, (*size, shape[2] // groups, features), dtype), groups).swapaxes(2, 3)
        return {"w": w, "b": zeros(key, (features,), dtype)} if bias else {"w": w}

    return from_rule(conv_transpose2d_rule, init=init, names=("w", "b")[: 1 + bias], groups=groups, **options)


def dense(features: int, *, bias: bool = True, init_w=he_normal) -> Layer:
    """`purecnn.dense` with `features` outputs."""

    def init(key, shape, dtype):
        if len(shape) != 1:
            raise ValueError(f"dense: input_shape: got {shape}, expected that of one sample, (in,); flatten first")
        w = init_w(key, (shape[0], features), dtype)
        return {"w": w, "b": zeros(key, (features,), dtype)} if bias else {"w": w}

    return from_rule(dense_rule, init=init, names=("w", "b")[: 1 + bias])


def relu(**options) -> Layer:
    return from_rule(relu_rule, **options)


def sigmoid() -> Layer:
    return from_rule(sigmoid_rule)


def softmax() -> Layer:
    return from_rule(softmax_rule)


def flatten() -> Layer:
    return from_rule(flatten_rule)


def max_pool2d(window=2, **options) -> Layer:
    return from_rule(max_pool2d_rule, window=window, **options)


def avg_pool2d(window=2, **options) -> Layer:
    return from_rule(avg_pool2d_rule, window=window, **options)


def global_avg_pool() -> Layer:
    return from_rule(global_avg_pool_rule)


def local_response_norm(**options) -> Layer:
    return from_rule(local_response_norm_rule, **options)


def dropout(rate: float = 0.5) -> Layer:
    """`purecnn.dropout` when training, with a key of its own; nothing otherwise, nor at rate 0."""

    def active(train, key):
        if train and rate and key is None:
            raise ValueError("dropout: key: got None, expected a key from jax.random.key when train=True")
        return train and rate

    def apply(params, state, x, train, key):
        return (dropout_rule(x, key, rate) if active(train, key) else x), state

    def forward(params, state, x, train, key):
        if not active(train, key):
            return x, state, ()
        y, residuals = dropout_rule.fwd(x, key, rate)
        return y, state, residuals

    def backward(residuals, y_bar, train):
        return (dropout_rule.bwd(residuals, y_bar, rate)[0] if train and rate else y_bar), {}

    return Layer("dropout", apply, forward, backward)


def batch_norm(*, momentum: float = 0.9, epsilon: float = 1e-5) -> Layer:
    """`purecnn.batch_norm` when training, `purecnn.batch_norm_inference` with the running statistics otherwise.

    A training step returns running statistics momentum · old + (1 − momentum) · batch, as the state after it; the
    gradient does not go through them. They are the biased variance's, in float32 or wider.
    """

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
            y = batch_norm_inference_rule(x, params["scale"], params["bias"], *statistics(state), epsilon=epsilon)
            return y, state
        y, mean, variance = batch_norm_rule(x, params["scale"], params["bias"], epsilon=epsilon)
        return y, updated(state, *jax.lax.stop_gradient((mean, variance)))

    def forward(params, state, x, train, key):
        if not train:
            arrays = (x, params["scale"], params["bias"], *statistics(state))
            y, residuals = batch_norm_inference_rule.fwd(*arrays, epsilon=epsilon)
            return y, state, residuals
        (y, mean, variance), residuals = batch_norm_rule.fwd(x, params["scale"], params["bias"], epsilon=epsilon)
        return y, updated(state, mean, variance), residuals

    def backward(residuals, y_bar, train):
        if train:
            still = jnp.zeros_like(residuals[2])
            x_bar, scale, bias = batch_norm_rule.bwd(residuals, (y_bar, still, still), epsilon=epsilon)
        else:
            x_bar, scale, bias, *_ = batch_norm_inference_rule.bwd(residuals, y_bar, epsilon=epsilon)
        return x_bar, {"scale": scale, "bias": bias}

    def init(key, shape, dtype):
        return {"scale": ones(key, shape[-1:], dtype), "bias": zeros(key, shape[-1:], dtype)}

    def init_state(shape, dtype):
        wide = accumulation_dtype(dtype)
        return {"mean": jnp.zeros(shape[-1:], wide), "variance": jnp.ones(shape[-1:], wide)}

    return Layer("batch_norm", apply, forward, backward, init, init_state)
