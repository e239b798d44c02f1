"""What a reader returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Split:
    """Images (N, H, W, C) in float32 and the class of each, (N,) in int32."""

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
