"""What a reader returns, and how its pixels become what a net sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Split:
    """Images (N, H, W, C) and the class of each, (N,) in int32.

    Pixels are float32 in [0, 1], or uint8 as they come from a file: a quarter of the memory, on the host, on the device
    and on the way between them. `to_float` makes one of the other, inside the compiled step.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A training set, a test set, and what the classes 0, 1, … are called."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]


def to_float(images: Any) -> Any:
    """Images as a net takes them, float32 in [0, 1]: uint8 divided by 255, float32 as it is. NumPy's arrays or JAX's.

    Written as a product: a compiler may turn a division into one, and then rounds otherwise than NumPy.
    """
    return images.astype(np.float32) * np.float32(1 / 255) if images.dtype == np.uint8 else images
