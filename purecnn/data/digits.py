"""scikit-learn's handwritten digits: 1,797 images of 8×8 grey pixels (Alpaydin and Kaynak 1998)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from purecnn.data.dataset import Dataset, Split

TEST_SHARE = 0.2
# The split belongs to the data: two runs with different seeds are measured on the same images.
SPLIT_SEED = 0


def read_digits() -> Dataset:
    """1,437 images to train on and 360 to test with, every digit equally well represented in both; pixels in [0, 1]."""
    bunch: Any = load_digits()
    images = (bunch.images[..., None] / 16).astype(np.float32)
    labels = bunch.target.astype(np.int32)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=labels
    )
    classes = tuple(str(digit) for digit in bunch.target_names)
    return Dataset("digits", Split(images[train], labels[train]), Split(images[test], labels[test]), classes)
