"""Batches from an iterable, on the devices: a thread takes the next ones while a step runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from purecnn.data.pipeline import ahead
from purecnn.data.stream import Stream
from purecnn.data.suspicions import require_labels
from purecnn.train.devices import Devices, like_of


@dataclass(frozen=True)
class StreamSupply:
    """A stream as compiled steps take it; the like of `purecnn.train.devices.Supply`, a batch a dispatch."""

    split: Stream
    devices: Devices
    classes: int
    whole: None = None

    def parts(self, parts: Iterable[np.ndarray], first_step: int | None = None) -> Iterator[tuple[Any, Any, None]]:
        """For every (1, N) of indices, which only say how many steps there are: images and labels, (1, N, …), and None.

        Raises ValueError for a label without a class, and what iterating raises.
        """
        batches = self.split.batches(skip=(first_step or 0) % self.split.steps)

        def load(_: np.ndarray) -> tuple[Any, Any, None]:
            images, labels = next(batches)
            require_labels("data", int(labels.min()), int(labels.max()), self.classes)
            return self.devices.scatter(images[None]), self.devices.scatter(labels[None]), None

        return ahead(load, parts)

    def like(self, count: int, batch_size: int) -> tuple[Any, Any, Any]:
        """The shapes of what `parts` gives, to compile for."""
        return like_of(self.split.images, self.split.labels, count, batch_size, self.devices)
