"""The order of the samples: index arrays (batches, batch size), made on the host, gathered inside the step.

The order depends on the seed, the epoch and the number of samples alone, not on devices or on how many steps go into
one dispatch. All batches have one size, so one compiled step takes them all; no sample is ever left out.
"""

from __future__ import annotations

import numpy as np


def batch_count(samples: int, batch_size: int) -> int:
    return -(-samples // batch_size)


def training_batches(samples: int, batch_size: int, *, seed: int, epoch: int) -> np.ndarray:
    """A fresh shuffle for every epoch, int32.

    Where the batch size does not divide, the last batch is filled up with the first samples of the same shuffle, so
    every sample comes once and these few a second time.
    """
    order = np.random.default_rng([seed, epoch]).permutation(samples).astype(np.int32)
    return np.resize(order, (batch_count(samples, batch_size), batch_size))


def evaluation_batches(samples: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """All samples in their own order, int32, and a mask that is False where the last batch is only filled up."""
    indices = np.arange(batch_count(samples, batch_size) * batch_size, dtype=np.int32)
    indices = indices.reshape(-1, batch_size)
    return np.minimum(indices, np.int32(samples - 1)), indices < samples
