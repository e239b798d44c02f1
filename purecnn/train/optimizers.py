"""Optimisers and learning-rate schedules by name; all of them are optax's."""

from __future__ import annotations

import jax
import optax

from purecnn.train.config import Config, require
from purecnn.train.freezing import fine_tuning


def make_optimizer(config: Config, steps_per_epoch: int) -> optax.GradientTransformation:
    """The optimiser of a run of `config.epochs` times `steps_per_epoch` steps."""
    rate = make_schedule(config, steps_per_epoch)
    momentum, decay = config.momentum, {"weight_decay": config.weight_decay, "mask": _kernels}
    into_gradient = optax.add_decayed_weights(**decay)
    clip = [] if config.clip_norm is None else [optax.clip_by_global_norm(config.clip_norm)]
    parts = {
        "sgd": lambda: [into_gradient, optax.sgd(rate, momentum=momentum)],
        "nesterov": lambda: [into_gradient, optax.sgd(rate, momentum=momentum, nesterov=True)],
        "adam": lambda: [into_gradient, optax.adam(rate)],
        "adamw": lambda: [optax.adamw(rate, **decay)],
        "lamb": lambda: [optax.lamb(rate, **decay)],
        "lion": lambda: [optax.lion(rate, **decay)],
        "rmsprop": lambda: [into_gradient, optax.rmsprop(rate, momentum=momentum)],
        "adagrad": lambda: [into_gradient, optax.adagrad(rate)],
    }[config.optimizer]()
    optimizer = fine_tuning(optax.chain(*clip, *parts), config.freeze, config.layer_decay)
    if config.accumulate == 1:
        return optimizer
    return optax.MultiSteps(optimizer, every_k_schedule=config.accumulate).gradient_transformation()  # type: ignore


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
