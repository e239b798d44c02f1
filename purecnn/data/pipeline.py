"""How images get to the device: a small set lies there as a whole, a larger one comes block by block, ahead of use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from purecnn.data.dataset import Split

DEVICE_LIMIT = 2**30
"""Bytes: a split of more images than this stays in host memory. CIFAR-10 and its like, kept as uint8, take 150 MB."""
AHEAD = 2


def lies_on_device(split: Split, limit: int = DEVICE_LIMIT) -> bool:
    return split.images.nbytes <= limit


def feed(
    split: Split, parts: Iterable[np.ndarray], *, place: Callable[[np.ndarray], Any] = jax.device_put
) -> Iterator[tuple[Any, Any, np.ndarray]]:
    """For every part, index arrays (K, N) into `split`: images, labels and the indices (K, N) into these two.

    The images are those of the part alone, (K·N, H, W, C), gathered and put on the device by `place` in a thread that
    is AHEAD parts ahead. `purecnn.train.step.steps_in_one_dispatch` takes what comes as it takes a whole set that lies
    on the device: the same images in the same order, so the same numbers.
    """

    def load(part: np.ndarray) -> tuple[Any, Any, np.ndarray]:
        places = part.ravel()
        here = np.arange(places.size, dtype=np.int32).reshape(part.shape)
        return place(split.images[places]), place(split.labels[places]), here

    yield from ahead(load, parts)


def ahead(load: Callable[[np.ndarray], Any], parts: Iterable[np.ndarray]) -> Iterator[Any]:
    """`load(part)` for every part, in order, from a thread that is AHEAD parts ahead of what is asked for."""
    waiting = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="feed") as loader:
        for part in parts:
            waiting.append(loader.submit(load, part))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
