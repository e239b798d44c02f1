"""Optimisers and learning-rate schedules by name; all of them are optax's."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from purecnn.train.config import Config, Optimizer, require
from purecnn.train.freezing import fine_tuning
from purecnn.train.options import shown
from purecnn.train.own_code import in_one_line


def make_optimizer(
    config: Config, steps_per_epoch: int, given: optax.GradientTransformation | None = None
) -> optax.GradientTransformation:
    """The optimiser of a run of `config.epochs` times `steps_per_epoch` steps; with `given`, a program's own."""
    if config.optimizer == "given" and given is None:
        raise ValueError("optimizer: a program gave the run's own; purecnn.train.fit(…, optimizer=…) takes it again")
    rate = make_schedule(config, steps_per_epoch)
    momentum, decay = config.momentum, {"weight_decay": config.weight_decay, "mask": _kernels}
    into_gradient = optax.add_decayed_weights(**decay)
    clip = [] if config.clip_norm is None else [optax.clip_by_global_norm(config.clip_norm)]
    named = {
        "sgd": lambda: [into_gradient, optax.sgd(rate, momentum=momentum)],
        "nesterov": lambda: [into_gradient, optax.sgd(rate, momentum=momentum, nesterov=True)],
        "adam": lambda: [into_gradient, optax.adam(rate)],
        "adamw": lambda: [optax.adamw(rate, **decay)],
        "lamb": lambda: [optax.lamb(rate, **decay)],
        "lion": lambda: [optax.lion(rate, **decay)],
        "rmsprop": lambda: [into_gradient, optax.rmsprop(rate, momentum=momentum)],
        "adagrad": lambda: [into_gradient, optax.adagrad(rate)],
    }
    parts = named[config.optimizer]() if given is None else [given]
    optimizer = fine_tuning(optax.chain(*clip, *parts), config.freeze, config.layer_decay)
    if config.ema is not None:
        optimizer = optax.chain(optimizer, averaged_weights(config.ema))
    if config.accumulate == 1:
        return optimizer
    return optax.MultiSteps(optimizer, every_k_schedule=config.accumulate).gradient_transformation()  # type: ignore


def require_optimizer(given: Any) -> None:
    """Raise TypeError, with what may be meant, for what is neither an optimiser of optax nor a name."""
    if isinstance(given, optax.GradientTransformation):
        return
    hint = f"; call it: {given.__name__}(…)" if callable(given) and hasattr(given, "__name__") else ""
    hint = "; its gradient_transformation() is one" if hasattr(given, "gradient_transformation") else hint
    names = ", ".join(get_args(Optimizer))
    raise TypeError(f"optimizer: got {shown(given)}, expected one of {names}, or an optimiser of optax{hint}")


def require_updates(optimizer: optax.GradientTransformation, params: Any, state: Any) -> None:
    """Raise ValueError for a program's own that cannot take a step: some of optax's take the loss as well."""
    try:
        jax.eval_shape(optimizer.update, params, state, params)
    except Exception as error:
        raise ValueError(f"optimizer: {in_one_line(error)}; it is given gradient, state and parameters") from error


class Average(NamedTuple):
    """Of the weights, and the updates that are in it."""

    params: Any
    count: Any


def averaged_weights(decay: float) -> optax.GradientTransformation:
    """Changes no update; its state is the moving average ā ← d·ā + (1 − d)·w of the weights after each.

    d is min(decay, (1 + n) / (10 + n)) at update n, so that the start is soon forgotten.
    """

    def init(params):
        return Average(jax.tree.map(jnp.copy, params), jnp.zeros((), jnp.int32))

    def update(updates, state, params: Any = None):
        count = state.count.astype(jnp.float32)
        d = jnp.minimum(jnp.float32(decay), (1 + count) / (10 + count))
        new = optax.apply_updates(params, updates)
        # The same as d·a + (1 − d)·w, and where w never moves, as in frozen layers, the same bits as w.
        mean = jax.tree.map(lambda a, w: (w + d * (a - w)).astype(a.dtype), state.params, new)
        return updates, Average(mean, state.count + 1)

    return optax.GradientTransformation(init, update)


def average_of(opt_state: Any) -> Any | None:
    """The average that is kept in an optimiser's state, arranged as the weights; None if there is none."""
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, Average))
    return next((node.params for node in nodes if isinstance(node, Average)), None)


def make_schedule(config: Config, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate at every update, of which there is one in `config.accumulate` steps."""
    updates = -(-steps_per_epoch * config.epochs // config.accumulate)
    warmup = round(config.warmup_epochs * steps_per_epoch / config.accumulate)
    require("warmup_epochs", config.warmup_epochs, warmup < updates, f"fewer than the run's {config.epochs}")
    rate, left = config.learning_rate, updates - warmup
    schedule = {
        "constant": lambda: optax.constant_schedule(rate),
        "cosine": lambda: optax.cosine_decay_schedule(rate, left),
        "linear": lambda: optax.linear_schedule(rate, 0.0, left),
        "step": lambda: optax.piecewise_constant_schedule(rate, {left // 2: 0.1, 3 * left // 4: 0.1}),
    }[config.schedule]()
    if not warmup:
        return schedule
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), schedule], [warmup])


def _kernels(params):
    """Weight decay shrinks kernels; biases and the scales of a normalisation are left alone."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
