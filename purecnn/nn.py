"""Rules as layers of a chain: each function here names the options of one rule and says how its parameters start.

`Chain("net", (nn.conv2d(6, 5, padding="SAME"), nn.relu(), nn.max_pool2d(), nn.flatten(), …))` is a net of them.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from purecnn.autodiff import vjp_backward, vjp_forward
from purecnn.chain import Layer, no_params
from purecnn.composition import branches as branches
from purecnn.composition import gated as gated
from purecnn.composition import on_rows
from purecnn.composition import residual as residual
from purecnn.conv1d import row_options
from purecnn.geometry import Size2d, integer, pair
from purecnn.initializers import he_normal, zeros
from purecnn.layers.adaptive_avg_pool2d import adaptive_avg_pool2d as adaptive_avg_pool2d_rule
from purecnn.layers.avg_pool2d import avg_pool2d as avg_pool2d_rule
from purecnn.layers.conv2d import conv2d as conv2d_rule
from purecnn.layers.conv_transpose2d import conv_transpose2d as conv_transpose2d_rule
from purecnn.layers.dense import dense as dense_rule
from purecnn.layers.flatten import flatten as flatten_rule
from purecnn.layers.gelu import gelu as gelu_rule
from purecnn.layers.global_avg_pool import global_avg_pool as global_avg_pool_rule
from purecnn.layers.group_norm import group_norm as group_norm_rule
from purecnn.layers.hard_swish import hard_swish as hard_swish_rule
from purecnn.layers.layer_norm import layer_norm as layer_norm_rule
from purecnn.layers.leaky_relu import leaky_relu as leaky_relu_rule
from purecnn.layers.local_response_norm import local_response_norm as local_response_norm_rule
from purecnn.layers.max_pool2d import max_pool2d as max_pool2d_rule
from purecnn.layers.relu import relu as relu_rule
from purecnn.layers.relu6 import relu6 as relu6_rule
from purecnn.layers.sigmoid import sigmoid as sigmoid_rule
from purecnn.layers.silu import silu as silu_rule
from purecnn.layers.softmax import softmax as softmax_rule
from purecnn.layers.tanh import tanh as tanh_rule
from purecnn.layers.upsample2d import upsample2d as upsample2d_rule
from purecnn.ops import swap_groups
from purecnn.rules import Rule
from purecnn.signatures import Partial, counted, described, static_value
from purecnn.training_modes import batch_norm as batch_norm
from purecnn.training_modes import drop_path as drop_path
from purecnn.training_modes import dropout as dropout
from purecnn.training_modes import scale_and_bias


def from_rule(rule: Rule, *, init=no_params, names: tuple[str, ...] = (), **options) -> Layer:
    """A layer that is one rule: `rule(x, *parameters, **options)`, its parameters called `names`.

    `init(key, shape, dtype)` makes the dict of parameters, where there are some. For the layer to pickle, rule and
    `init` are functions of a module (or a `Partial` of one).
    """
    if not isinstance(rule, Rule) or None in (rule.fwd, rule.bwd):
        expected = "a rule and its pair, by purecnn.rules.rule; nn.function(f) is for any other f"
        raise TypeError(f"from_rule: rule: got {described(rule)}, expected {expected}")
    options = {name: static_value(rule.__name__, name, value) for name, value in options.items()}
    return Layer(
        rule.__name__,
        Partial(_apply, rule, **options),
        Partial(_forward, rule, **options),
        Partial(_backward, rule, names, **options),
        init,
        plain=Partial(_apply, rule.primal, **options),
    )


def function(f, *, name: str | None = None, init=no_params, **options) -> Layer:
    """A plain function as a layer: `f(x, **parameters, **options)`, which `init(key, shape, dtype)` makes a dict of.

    It needs no rule. In the backward pass `jax.vjp` differentiates this layer, and it alone; `Chain.summary` says so.
    """
    if not callable(f):
        raise TypeError(f"function: f: got {described(f)}, expected a function of x")
    known = name or getattr(getattr(f, "func", f), "__name__", type(f).__name__)  # a partial has its function's
    options = {option: static_value(known, option, value) for option, value in options.items()}
    apply = Partial(_apply, f, **options)
    return Layer(known, apply, Partial(vjp_forward, apply), vjp_backward, init)


def _apply(function, params, state, x, train, key, /, **options):
    return function(x, **params, **options), state


def _forward(rule, params, state, x, train, key, /, **options):
    y, residuals = rule.fwd(x, **params, **options)
    return y, state, residuals


def _backward(rule, names, residuals, y_bar, train, /, **options):
    found = rule.bwd(residuals, y_bar, **options)
    if not isinstance(found, tuple | list) or len(found) < 1 + len(names):
        expected = f"a tuple of the cotangents of {', '.join(('x', *names))}"
        raise TypeError(f"bwd: got {counted(found)}, expected {expected}")
    x_bar, *bars = found
    return x_bar, dict(zip(names, bars, strict=False))


def conv2d(
    features: int, window, *, bias: bool = True, groups: int = 1, init_w=he_normal, init_b=zeros, **options
) -> Layer:
    """`purecnn.conv2d` with `features` output channels; `options` are its stride, padding, dilation, algorithm."""
    features = integer("conv2d", "features", features, 1)
    init = Partial(_init_conv2d, features, pair("conv2d", "window", window), bias, groups, init_w, init_b)
    return from_rule(conv2d_rule, init=init, names=("w", "b")[: 1 + bias], groups=groups, **options)


def conv1d(
    features: int, window: int, *, bias=True, groups=1, init_w=he_normal, init_b=zeros, algorithm="auto", **options
) -> Layer:
    """`purecnn.conv1d` with `features` output channels, on sequences (N, L, C); `options` as there."""
    same = {"bias": bias, "groups": groups, "init_w": init_w, "init_b": init_b, "algorithm": algorithm}
    features, size = integer("conv1d", "features", features, 1), (1, integer("conv1d", "window", window, 1))
    return on_rows("conv1d", conv2d(features, size, **same, **row_options(**options)))


def conv_transpose2d(
    features: int, window, *, bias: bool = True, groups: int = 1, init_w=he_normal, **options
) -> Layer:
    """`purecnn.conv_transpose2d` with `features` output channels; `options` as there.

    `init_w` makes the kernel as `conv2d` would have it, (kh, kw, C/groups, features), so that its fan-in is y's.
    """
    features = integer("conv_transpose2d", "features", features, 1)
    init = Partial(_init_conv_transpose2d, features, pair("conv_transpose2d", "window", window), bias, groups, init_w)
    return from_rule(conv_transpose2d_rule, init=init, names=("w", "b")[: 1 + bias], groups=groups, **options)


def _init_conv2d(features, size, bias, groups, init_w, init_b, key, shape, dtype, layer="conv2d"):
    if len(shape) != 3:
        raise ValueError(f"{layer}: input_shape: got {shape}, expected that of one sample, (H, W, C)")
    w = init_w(key, (*size, shape[2] // groups, features), dtype)
    return {"w": w, "b": init_b(jax.random.fold_in(key, 1), (features,), dtype)} if bias else {"w": w}


def _init_conv_transpose2d(features, size, bias, groups, init_w, key, shape, dtype):
    params = _init_conv2d(features, size, bias, groups, init_w, zeros, key, shape, dtype, "conv_transpose2d")
    return params | {"w": swap_groups(params["w"], groups).swapaxes(2, 3)}


def dense(features: int, *, bias: bool = True, init_w=he_normal, init_b=zeros) -> Layer:
    """`purecnn.dense` with `features` outputs."""
    features = integer("dense", "features", features, 1)
    init = Partial(_init_dense, features, bias, init_w, init_b)
    return from_rule(dense_rule, init=init, names=("w", "b")[: 1 + bias])


def _init_dense(features, bias, init_w, init_b, key, shape, dtype):
    if not shape:
        raise ValueError(f"dense: input_shape: got {shape}, expected that of one sample, (..., in)")
    w = init_w(key, (shape[-1], features), dtype)
    return {"w": w, "b": init_b(jax.random.fold_in(key, 1), (features,), dtype)} if bias else {"w": w}


def relu(**options) -> Layer:
    return dataclasses.replace(from_rule(relu_rule, **options), plain=Partial(_apply, _relu, **options))


def _relu(x, *, slope_at_zero=0.0):
    """ReLU's primal, which JAX would give the slope ½ at zero, whatever the rule's is."""
    return jnp.where(x == 0, slope_at_zero * x, relu_rule.primal(x, slope_at_zero=slope_at_zero))


def relu6() -> Layer:
    return from_rule(relu6_rule)


def leaky_relu(**options) -> Layer:
    return from_rule(leaky_relu_rule, **options)


def hard_swish() -> Layer:
    return from_rule(hard_swish_rule)


def silu() -> Layer:
    return from_rule(silu_rule)


def gelu(**options) -> Layer:
    return from_rule(gelu_rule, **options)


def sigmoid() -> Layer:
    return from_rule(sigmoid_rule)


def tanh() -> Layer:
    return from_rule(tanh_rule)


def softmax(axis: int = -1) -> Layer:
    return from_rule(softmax_rule, axis=axis)


def flatten() -> Layer:
    return from_rule(flatten_rule)


def max_pool2d(window: Size2d = 2, **options) -> Layer:
    return from_rule(max_pool2d_rule, window=window, **options)


def avg_pool2d(window: Size2d = 2, **options) -> Layer:
    return from_rule(avg_pool2d_rule, window=window, **options)


def adaptive_avg_pool2d(size) -> Layer:
    return from_rule(adaptive_avg_pool2d_rule, size=size)


def global_avg_pool() -> Layer:
    return from_rule(global_avg_pool_rule)


def upsample2d(scale: Size2d = 2, **options) -> Layer:
    """`purecnn.upsample2d`; to any other size, `function(lambda x: jax.image.resize(x, …, "bilinear"))`."""
    return from_rule(upsample2d_rule, scale=scale, **options)


def squeeze_excite(features: int, squeezed: int) -> Layer:
    """Hu et al. 2018: every channel of an image, of which there are `features`, times a weight between 0 and 1.

    The weights are σ(dense(relu(dense(the channels' means)))), with `squeezed` features in between.
    """
    return gated(global_avg_pool(), dense(squeezed), relu(), dense(features), sigmoid())


def local_response_norm(**options) -> Layer:
    return from_rule(local_response_norm_rule, **options)


def group_norm(groups: int, *, epsilon: float = 1e-5) -> Layer:
    init, names = scale_and_bias, ("scale", "bias")
    return from_rule(group_norm_rule, init=init, names=names, groups=groups, epsilon=epsilon)


def layer_norm(*, epsilon: float = 1e-5) -> Layer:
    return from_rule(layer_norm_rule, init=scale_and_bias, names=("scale", "bias"), epsilon=epsilon)
