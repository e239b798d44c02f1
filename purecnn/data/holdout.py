"""Which samples are held out: for the test if a set has no split, for validation if it has no validation set."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Sequence

import numpy as np

from purecnn.data.dataset import Dataset, Split

TEST_SHARE = 0.2
VAL_SHARE = 0.1
TRAIN, VAL, TEST = range(3)
NAMED = 5  # classes that are named; the others are counted


def first_few(names: Sequence[str], most: int = NAMED) -> str:
    """The first names, and … for those that are not named."""
    return ", ".join([*names[:most], *["…"] * (len(names) > most)])


def held_out(names: Sequence[str], labels: np.ndarray, share: float = TEST_SHARE) -> np.ndarray:
    """True for a share of every class, at least one and not all, chosen by a checksum of the samples' names.

    The split depends only on the data, not on a seed. Adding or removing a sample moves at most one other sample of its
    class. Nothing is held out of a class with one sample.
    """
    chosen = np.zeros(len(labels), bool)
    by_class = np.argsort(labels, kind="stable")
    for members in np.split(by_class, np.flatnonzero(np.diff(labels[by_class])) + 1):
        called = [names[int(n)].encode("utf-8", "surrogateescape") for n in members]
        checksums = [hashlib.sha256(name).digest() for name in called]
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        chosen[members[sorted(range(len(members)), key=checksums.__getitem__)[:count]]] = True
    return chosen


def divided(names: Sequence[str], labels: np.ndarray, *, val_share: float, test: bool = True) -> np.ndarray:
    """TRAIN, VAL or TEST for every sample: with `test` a fifth is held out to test with; `val_share` of all validates.

    Chosen by `held_out`, first what tests, so that the images of the test are the same whatever the share.
    """
    part = np.full(len(labels), TRAIN)
    if test:
        part[held_out(names, labels)] = TEST
    left = np.flatnonzero(part == TRAIN)
    if val_share and len(left):
        # Of what is left, so many that they are the share of all.
        share = val_share / (1 - TEST_SHARE) if test else val_share
        part[left[held_out([names[int(n)] for n in left], labels[left], share)]] = VAL
    return part


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def with_validation(data: Dataset, val_share: float) -> Dataset:
    """`data` with a share of its training images as `val`, if it has none; chosen by their numbers, never by a seed."""
    if data.val is not None or not val_share:
        return data
    labels = data.train.labels
    chosen = held_out([str(n) for n in range(len(labels))], labels, val_share)
    if not chosen.any():
        return dataclasses.replace(data, notes=(*data.notes, "no class has two images: none is held out to validate"))
    train, val = (Split(data.train.images[part], labels[part]) for part in (~chosen, chosen))
    note = f"held out of the training images to validate: {percent(val_share)} of every class, the same in every run"
    return dataclasses.replace(data, train=train, val=val, notes=(*data.notes, note))


def warn_of_absent_classes(data: Dataset) -> None:
    """Warn of classes without images to train on, or to validate, which do not count in the choice of weights, or test.

    A class that is not trained is named once. Of batches it is not known.
    """
    trained = np.ones(len(data.classes), bool)
    for split, what in ((data.train, "train on"), (data.val, "validate"), (data.test, "test with")):
        if split is None or split.labels.ndim == 0:
            continue
        there = np.bincount(split.labels, minlength=len(data.classes)) > 0
        absent = np.flatnonzero(trained & ~there)
        if split is data.train:
            trained = there
        if len(absent):
            names = ", ".join(data.classes[n] for n in absent[:NAMED])
            more = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
            have = "class has" if len(absent) == 1 else "classes have"
            warnings.warn(f"{data.name}: {have} no image to {what}: {names}{more}", stacklevel=3)
