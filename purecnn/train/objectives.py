"""Losses for training: the pair of a rule, and the target with which it compares the net's output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purecnn.annotations import Array
from purecnn.data.dataset import Dataset
from purecnn.losses.softmax_cross_entropy import softmax_cross_entropy_bwd, softmax_cross_entropy_fwd
from purecnn.losses.squared_error import squared_error_bwd, squared_error_fwd
from purecnn.train.config import Config


@dataclass(frozen=True)
class Objective:
    fwd: Callable[..., Any]
    bwd: Callable[..., Any]
    target: Callable[[Any, Array], Any]  # (labels, net's output) -> what the loss compares that output with


OBJECTIVES = {
    "softmax_cross_entropy": Objective(softmax_cross_entropy_fwd, softmax_cross_entropy_bwd, lambda labels, _: labels),
    "squared_error": Objective(
        squared_error_fwd, squared_error_bwd, lambda labels, y: jax.nn.one_hot(labels, y.shape[1], dtype=y.dtype)
    ),
}


def smoothed(objective: Objective, label_smoothing: float) -> Objective:
    """softmax_cross_entropy with smoothed labels; the val and test loss stay those of the labels as they are."""
    if not label_smoothing:
        return objective
    fwd, bwd = (partial(rule, label_smoothing=label_smoothing) for rule in (objective.fwd, objective.bwd))
    return Objective(fwd, bwd, objective.target)


def weighted(objective: Objective, weights: Array) -> Objective:
    """The loss of an image times the weight of its class, (K,); the gradient likewise."""

    def fwd(y, target):
        wanted, weight = target
        losses, residuals = objective.fwd(y, wanted)
        return losses * weight, (residuals, weight)

    def bwd(residuals, bar):
        inner, weight = residuals
        return objective.bwd(inner, bar * weight)

    return Objective(fwd, bwd, lambda labels, y: (objective.target(labels, y), weights[labels]))


def mixed(objective: Objective) -> Objective:
    """Of images that are two at once, with `purecnn.data.mixing.Mixed` labels: the loss with either, by its share."""

    def fwd(y, target):
        first, second, share = target
        (one, left), (other, right) = objective.fwd(y, first), objective.fwd(y, second)
        return share * one + (1 - share) * other, (left, right, share)

    def bwd(residuals, bar):
        left, right, share = residuals
        (one, *_), (other, *_) = objective.bwd(left, bar * share), objective.bwd(right, bar * (1 - share))
        return one + other, None

    def target(labels, y):
        return objective.target(labels.labels, y), objective.target(labels.others, y), labels.share

    return Objective(fwd, bwd, target)


def balanced(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weights of the classes, (K,) float32, in inverse proportion to their images; the mean over the images is 1."""
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / ((counts > 0).sum() * np.maximum(counts, 1))).astype(np.float32)


def training_objective(config: Config, data: Dataset) -> Objective:
    """The loss of training, which may smooth labels, weigh classes and mix images; evaluation does none of it."""
    objective = smoothed(OBJECTIVES[config.loss or ""], config.label_smoothing)
    if config.class_weights != "none":
        objective = weighted(objective, jnp.asarray(balanced(data.train.labels, len(data.classes))))
    return mixed(objective) if config.mixup or config.cutmix else objective
