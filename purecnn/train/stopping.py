"""When to stop: `until converged` (lecture row 2), and never with a non-finite loss."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from purecnn.data.dataset import Dataset
from purecnn.train.config import Config

MANY = 16  # images that are hardly of one class by chance


class Diverged(ArithmeticError):
    """The loss became NaN or infinite; `step` is the first such step, from 1. `why` says what may prevent it."""

    def __init__(self, step: int, loss: float, why: str = "a lower learning rate or a clip_norm may prevent it"):
        super().__init__(f"the loss became {loss} at step {step}; {why}")
        self.step, self.loss = step, loss


def converged(losses: Sequence[float], *, patience: int, tolerance: float) -> bool:
    """Whether the last `patience` losses made no real progress.

    True when the best of them is not below (1 − `tolerance`) times the best of all before; never before there are
    more than `patience` losses. A loss here is that of an epoch: a single batch's is too noisy to stop by.
    """
    if len(losses) <= patience:
        return False
    return min(losses[-patience:]) >= (1 - tolerance) * min(losses[:-patience])


def reason_to_stop(metrics: Sequence[dict[str, Any]], config: Config) -> str:
    """Why a run that has these lines of metrics.jsonl is over, or "" if it is not."""
    if len(metrics) >= config.epochs:
        return "all epochs are done"
    rule = {"patience": config.patience, "tolerance": config.tolerance}
    epochs = f"{config.patience} epochs in a row without progress"
    if config.until_converged and converged([line["train_loss"] for line in metrics], **rule):
        return f"converged: {epochs}"
    if config.early_stopping and converged([line["val_loss"] for line in metrics], **rule):
        return f"stopped early: {epochs} on the validation images"
    return ""


def how_to_go_on(metrics: Sequence[dict[str, Any]], config: Config) -> str:
    """What resumes a run that is over."""
    return f"{'more epochs go' if len(metrics) >= config.epochs else 'a larger patience goes'} on with it"


def how_to_mend(fault: str, data: Dataset) -> str:
    """What to do where an image can be read no longer while a run goes on."""
    root = getattr(data.train.images, "root", None)
    if root is not None and not root.is_dir():
        return f"{root} is there no longer; put it back, or say where it is by --data-dir, and resume with"
    if os.strerror(errno.EACCES) in fault:
        return "make it readable and resume with"
    return "put an image there and resume with"


def untrained(predictions: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> str:
    """What to do where images of several classes are all predicted as one, or as badly; "" for others, and for few."""
    if len(labels) < MANY or not np.ptp(labels):
        return ""
    more = "more epochs, or a learning rate ten times higher or lower, may help"
    if not np.ptp(predictions):
        return f"all {len(labels):,} images are predicted as {classes[int(predictions[0])]}: {more}"
    counts = np.bincount(labels)
    if (predictions == labels).sum() > counts.max():
        return ""
    common = classes[int(counts.argmax())]
    return f"no more of the {len(labels):,} images are right than if all were called {common}: {more}"


def best_line(metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The line of the best epoch: the one with the highest validation accuracy.

    Among equal ones the lowest loss decides, then the first. Without validation images it is the last line. Before the
    first epoch is over it is {"epoch": 0}.
    """
    if not metrics or "val_accuracy" not in metrics[-1]:
        return metrics[-1] if metrics else {"epoch": 0}
    return max(metrics, key=lambda line: (line["val_accuracy"], -line["val_loss"]))


def require_finite(losses: Sequence[float], first_step: int, images: Any = None) -> None:
    """Raise `Diverged` at the first of `losses` that is NaN or infinite; `first_step` is the step of losses[0].

    It says so where `images`, those of these steps, are to blame: batches are not looked through before.
    """
    for step, loss in enumerate(losses, start=first_step):
        if not math.isfinite(loss):
            if images is not None and not bool(jnp.isfinite(images).all()):
                raise Diverged(step, float(loss), "its images hold values that are not finite")
            raise Diverged(step, float(loss))
