"""Optimisers and learning-rate schedules by name; all of them are optax's."""

from __future__ import annotations

import jax
import optax

from purecnn.train.config import Config


def make_optimizer(config: Config, steps: int) -> optax.GradientTransformation:
    """The optimiser of a run of `steps` steps."""
    rate = {
        "constant": lambda: optax.constant_schedule(config.learning_rate),
        "cosine": lambda: optax.cosine_decay_schedule(config.learning_rate, steps),
    }[config.schedule]()
    decay = optax.add_decayed_weights(config.weight_decay, mask=_kernels)
    return {
        "sgd": lambda: optax.chain(decay, optax.sgd(rate, momentum=config.momentum)),
        "adam": lambda: optax.chain(decay, optax.adam(rate)),
        "adamw": lambda: optax.adamw(rate, weight_decay=config.weight_decay, mask=_kernels),
    }[config.optimizer]()


def _kernels(params):
    """Weight decay shrinks kernels; biases and the scales of a normalisation are left alone."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
