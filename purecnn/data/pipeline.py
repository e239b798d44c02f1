"""How images get to the device: a small set is copied there once, a larger one in blocks, ahead of their use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.pool import ThreadPool
from typing import Any

import jax
import numpy as np

from purecnn.data.batches import batch_count
from purecnn.data.dataset import Split

DEVICE_LIMIT = 2**30
"""Bytes: a split of more images than this stays in host memory. CIFAR-10 and its like, kept as uint8, take 150 MB."""
AHEAD = 2
BLOCK = 2**25
"""Bytes of the images of one dispatch where they come in blocks; some blocks wait in a queue. One step may be more."""


def fits_on_device(split: Split, limit: int = DEVICE_LIMIT) -> bool:
    return split.images.nbytes <= limit and not in_files(split)


def in_files(split: Split) -> bool:
    """Whether the images are decoded when they are asked for: `purecnn.data.files`, which takes Pillow to import."""
    return hasattr(split.images, "in_epoch")


def steps_in_a_block(split: Split, batch_size: int) -> int:
    """How many steps' images are put on the device at one go, at most."""
    each = batch_size * int(np.prod(split.images.shape[1:])) * split.images.dtype.itemsize
    return max(1, BLOCK // each)


def on_device(array: Any, rows: np.ndarray) -> jax.Array:
    return jax.device_put(array[rows])


def feed(
    split: Split,
    parts: Iterable[np.ndarray],
    *,
    first_step: int | None = None,
    place: Callable[[Any, np.ndarray], Any] = on_device,
) -> Iterator[tuple[Any, Any, None]]:
    """For every part, index arrays (K, N) into `split`: images (K, N, H, W, C), labels (K, N), and no more indices.

    They are gathered and put on the device by `place` in threads that are AHEAD parts ahead.
    `purecnn.train.step.steps_in_one_dispatch` takes them as it takes a whole set on the device: the same
    images in the same order, so the same numbers. `first_step` is the number of the first step of a training, by whose
    epoch random crops are drawn; None: the images as they are.
    """

    def load(numbered: tuple[int, np.ndarray]) -> tuple[Any, Any, None]:
        step, rows = numbered
        images = split.images
        if first_step is not None and in_files(split):
            images = images.in_epoch(step // batch_count(len(split), rows.shape[1]))
        return place(images, rows), place(split.labels, rows), None

    # Two at a time: while the last images of a part are decoded, cores that are done begin the next.
    yield from ahead(load, _numbered(parts, first_step or 0), loaders=2)


def _numbered(parts: Iterable[np.ndarray], step: int) -> Iterator[tuple[int, np.ndarray]]:
    for rows in parts:
        yield step, rows
        step += len(rows)


def ahead(load: Callable[[Any], Any], parts: Iterable[Any], loaders: int = 1) -> Iterator[Any]:
    """`load(part)` for every part, in order, from `loaders` threads that are AHEAD parts ahead of what is asked for.

    Not of concurrent.futures: a process that is forked in one of its threads, as a DataLoader's workers are, waits at
    its end for that thread, which it is itself, and fails; PyTorch then ends the run.
    """
    waiting, pool = deque(), ThreadPool(loaders)
    try:
        for part in parts:
            waiting.append(pool.apply_async(load, (part,)))
            if len(waiting) > AHEAD:
                yield waiting.popleft().get()
        while waiting:
            yield waiting.popleft().get()
    finally:
        pool.terminate()
        pool.join()
