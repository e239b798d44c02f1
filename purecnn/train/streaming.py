"""Batches from an iterable, on the devices: a thread takes the next ones while a step runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from purecnn.data.pipeline import ahead
from purecnn.data.stream import Stream
from purecnn.train.devices import Devices


@dataclass(frozen=True)
class StreamSupply:
    """A stream as compiled steps take it; the like of `purecnn.train.devices.Supply`, a batch a dispatch."""

    split: Stream
    devices: Devices
    classes: int
    done: int  # steps before the first that is asked for
    whole: None = None

    def parts(self, parts: Iterable[np.ndarray]) -> Iterator[tuple[Any, Any, Any]]:
        """For every (1, N) of indices, which only say how many steps there are: images, labels, and where they lie.

        Raises ValueError for a label without a class, and what iterating raises.
        """
        batches = self.split.batches(skip=self.done % self.split.steps)
        here = self.devices.scatter(np.arange(self.split.batch_size, dtype=np.int32)[None])

        def load(_: np.ndarray) -> tuple[Any, Any, Any]:
            images, labels = next(batches)
            if not 0 <= labels.min() <= labels.max() < self.classes:
                raise ValueError(f"data: got labels {labels.min()} to {labels.max()}, expected 0 to {self.classes - 1}")
            return self.devices.replicate(images), self.devices.replicate(labels), here

        return ahead(load, parts)

    def like(self, count: int, batch_size: int) -> tuple[Any, Any, Any]:
        """The shapes of what `parts` gives, to compile for."""
        everywhere = self.devices.everywhere
        images = jax.ShapeDtypeStruct(
            (batch_size, *self.split.images.shape[1:]), self.split.images.dtype, sharding=everywhere
        )
        labels = jax.ShapeDtypeStruct((batch_size,), np.int32, sharding=everywhere)
        return images, labels, jax.ShapeDtypeStruct((count, batch_size), np.int32, sharding=self.devices.split)
