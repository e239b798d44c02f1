"""Layers that differ in training and at inference: dropout, drop path and batch normalisation."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import core

from purecnn.chain import Layer
from purecnn.checks import require_fraction
from purecnn.initializers import ones, zeros
from purecnn.layers.batch_norm import batch_norm as batch_norm_rule
from purecnn.layers.batch_norm_inference import batch_norm_inference as batch_norm_inference_rule
from purecnn.layers.drop_path import drop_path as drop_path_rule
from purecnn.layers.dropout import dropout as dropout_rule
from purecnn.mapped_axes import AxisName, device_count
from purecnn.ops import accumulation_dtype
from purecnn.signatures import Partial, static_value


def dropout(rate: float = 0.5) -> Layer:
    """`purecnn.dropout` in training, with a key of its own; the identity at inference and at rate 0."""
    return _random(dropout_rule, rate)


def drop_path(rate: float) -> Layer:
    """`purecnn.drop_path` in training, with a key of its own; the identity at inference and at rate 0."""
    return _random(drop_path_rule, rate)


def _random(rule, rate) -> Layer:
    require_fraction(rule.__name__, "rate", rate)
    return Layer(
        rule.__name__,
        Partial(_drop, rule, rate),
        Partial(_drop_forward, rule, rate),
        Partial(_drop_backward, rule, rate),
        plain=Partial(_drop, rule.primal, rate),
    )


def _active(train, rate):
    return train and not (isinstance(rate, int | float) and rate == 0)


def _require_key(rule, key):
    if key is None:
        raise ValueError(f"{rule.__name__}: key: got None, expected a key from jax.random.key when train=True")


def _drop(rule, rate, params, state, x, train, key):
    if not _active(train, rate):
        return x, state
    _require_key(rule, key)
    return rule(x, key, rate), state


def _drop_forward(rule, rate, params, state, x, train, key):
    if not _active(train, rate):
        return x, state, ()
    _require_key(rule, key)
    y, residuals = rule.fwd(x, key, rate)
    return y, state, residuals


def _drop_backward(rule, rate, residuals, y_bar, train):
    return (rule.bwd(residuals, y_bar, rate)[0] if _active(train, rate) else y_bar), {}


def batch_norm(
    *, momentum: float = 0.9, epsilon: float = 1e-5, unbiased: bool = False, axis_name: AxisName = None
) -> Layer:
    """`purecnn.batch_norm` when training, `purecnn.batch_norm_inference` with the running statistics otherwise.

    The state after a training step holds the running statistics momentum · old + (1 − momentum) · batch; no gradient
    flows through them. Their variance is the biased one, or with `unbiased`, as in PyTorch, m / (m−1) times that, for
    m entries per channel. They are float32 or wider. PyTorch's momentum 0.1 is 0.9 here. With `axis_name` the
    statistics are those of all devices along an axis of `pmap`, `shard_map` or a named `vmap`. Raises ValueError for a
    momentum outside [0, 1].
    """
    if isinstance(momentum, int | float) and not 0 <= momentum <= 1:
        raise ValueError(f"batch_norm: momentum: got {momentum}, expected from 0 to 1, the share of the old statistics")
    devices = {"axis_name": static_value("batch_norm", "axis_name", axis_name)}
    update = Partial(_updated, momentum, unbiased, **devices)
    return Layer(
        "batch_norm",
        Partial(_batch_norm, batch_norm_rule, batch_norm_inference_rule, update, epsilon, **devices),
        Partial(_batch_norm_forward, batch_norm_rule, update, epsilon, **devices),
        Partial(_batch_norm_backward, batch_norm_rule, epsilon, **devices),
        scale_and_bias,
        _init_statistics,
        plain=Partial(
            _batch_norm, batch_norm_rule.primal, batch_norm_inference_rule.primal, update, epsilon, **devices
        ),
    )


def _statistics(state):
    if not state:
        raise ValueError("batch_norm: state: got none, expected running statistics (Chain.init_state) without train")
    return state["mean"], state["variance"]


def _updated(momentum, unbiased, state, x, mean, variance, *, axis_name):
    m = math.prod(x.shape[:-1]) * device_count("batch_norm", axis_name)
    fresh = {"mean": mean, "variance": variance * m / core.max_dim(m - 1, 1) if unbiased else variance}
    return {name: momentum * old + (1 - momentum) * fresh[name] for name, old in state.items()}


def _batch_norm(training, inference, update, epsilon, params, state, x, train, key, *, axis_name):
    if not train:
        return inference(x, params["scale"], params["bias"], *_statistics(state), epsilon=epsilon), state
    y, mean, variance = training(x, params["scale"], params["bias"], epsilon=epsilon, axis_name=axis_name)
    return y, update(state, x, *jax.lax.stop_gradient((mean, variance)))


def _batch_norm_forward(training, update, epsilon, params, state, x, train, key, *, axis_name, within=None):
    arrays = (x, params["scale"], params["bias"])
    if not train:
        y, residuals = batch_norm_inference_rule.fwd(*arrays, *_statistics(state), epsilon=epsilon)
        return y, state, residuals
    (y, mean, variance), residuals = training.fwd(*arrays, epsilon=epsilon, axis_name=axis_name, within=within)
    return y, update(state, x, mean, variance), residuals


def _batch_norm_backward(training, epsilon, residuals, y_bar, train, *, axis_name, within=None):
    if train:
        still = jnp.zeros_like(residuals[2])
        options = {"epsilon": epsilon, "axis_name": axis_name, "within": within}
        x_bar, scale, bias = training.bwd(residuals, (y_bar, still, still), **options)
    else:
        x_bar, scale, bias, *_ = batch_norm_inference_rule.bwd(residuals, y_bar, epsilon=epsilon)
    return x_bar, {"scale": scale, "bias": bias}


def scale_and_bias(key, shape, dtype):
    """The parameters of a normalisation: one and zero for each channel."""
    return {"scale": ones(key, shape[-1:], dtype), "bias": zeros(key, shape[-1:], dtype)}


def _init_statistics(shape, dtype):
    wide = accumulation_dtype(dtype)
    return {"mean": jnp.zeros(shape[-1:], wide), "variance": jnp.ones(shape[-1:], wide)}
