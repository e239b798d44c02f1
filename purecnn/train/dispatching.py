"""A run's order of images, cut into dispatches to the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from purecnn.data.batches import batch_count, training_batches
from purecnn.train.config import Config


def dispatches(samples: int, config: Config, step: int) -> Iterator[np.ndarray]:
    """The indices (K, N) of every dispatch that is left after `step` steps, which end a dispatch."""
    per_epoch = batch_count(samples, config.batch_size)
    for epoch in range(step // per_epoch, config.epochs):
        batches = training_batches(samples, config.batch_size, seed=config.seed, epoch=epoch)
        yield from cut(batches, config, from_row=max(step - epoch * per_epoch, 0))


def cut(rows: np.ndarray, config: Config, from_row: int = 0) -> list[np.ndarray]:
    """Into dispatches."""
    each = config.steps_per_dispatch
    return [rows[start : start + each] for start in range(from_row, len(rows), each)]
