"""scikit-learn's handwritten digits: 1,797 images of 8×8 grey pixels (Alpaydin and Kaynak 1998)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from purecnn.data.dataset import Dataset, Split

TEST_SHARE = 0.2
# The split belongs to the data: two runs with different seeds are measured on the same images.
SPLIT_SEED = 0


def read_digits() -> Dataset:
    """1,437 images to train on and 360 to test with, every digit equally well represented in both; pixels in [0, 1]."""
    table = np.loadtxt(_file(), delimiter=",", dtype=np.int32)  # 64 pixels from 0 to 16, and the label
    images, labels = (table[:, :-1].reshape(-1, 8, 8, 1) / 16).astype(np.float32), table[:, -1]
    train, test = _divided(labels)
    classes = tuple(str(digit) for digit in range(10))
    return Dataset("digits", Split(images[train], labels[train]), Split(images[test], labels[test]), classes)


def _file() -> Path:
    """In scikit-learn, whose import would take longer than all else before the first step."""
    found = find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    return Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"


def _divided(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the images to train on and of those to test with, in the order of scikit-learn's
    `train_test_split(…, test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=labels)`."""
    draw = np.random.RandomState(SPLIT_SEED)
    counts, tested = np.bincount(labels), int(np.ceil(TEST_SHARE * len(labels)))
    to_train = _shares(counts, len(labels) - tested, draw)
    to_test = _shares(counts - to_train, tested, draw)
    train, test = [], []
    for digit, (first, second) in enumerate(zip(to_train, to_test, strict=True)):
        shuffled = np.flatnonzero(labels == digit)[draw.permutation(counts[digit])]
        train.append(shuffled[:first])
        test.append(shuffled[first : first + second])
    return draw.permutation(np.concatenate(train)), draw.permutation(np.concatenate(test))


def _shares(counts: np.ndarray, total: int, draw: np.random.RandomState) -> np.ndarray:
    """`total` divided as `counts` are, in whole numbers: the largest remainders are rounded up, of equal ones some."""
    exact = counts / counts.sum() * total
    shares = np.floor(exact)
    rest = exact - shares
    for remainder in np.unique(rest)[::-1]:
        missing = int(total - shares.sum())
        if not missing:
            break
        equal = np.flatnonzero(rest == remainder)
        shares[draw.choice(equal, min(len(equal), missing), replace=False)] += 1
    return shares.astype(int)
