"""The sets that a program gives to validate and to test with: read into memory, by the classes of those to train on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from purecnn.data.dataset import Dataset, Split
from purecnn.data.holdout import first_few
from purecnn.data.stream import class_names, read_all
from purecnn.data.suspicions import call_hint

TIMES, MANY = 100, 100_000  # a set of unknown length that is so many times the training set, and that large, has no end
PATHS = "fit(net, PATH) reads all splits of a folder with train, val and test in it, or of an .npz"


def read_given(name: str, source: Any, trained: Dataset, classes: Sequence[str] = ()) -> Split:
    """`source` with the labels of `trained`, those to train on, where both name their classes.

    `classes` are the names that a program gives to those: they count for a training set without its own.

    Raises TypeError and ValueError, which begin with the set's `name`, for what is no set or has no end, and for images
    of a class that is not trained.
    """
    if isinstance(source, str | Path):
        raise TypeError(f"{name}: got the path {str(source)!r}, expected arrays or batches; {PATHS}")
    if not isinstance(source, Split | Iterable):
        share = "; val_share says how much of the data is held out" if name == "val" else ""
        hint = call_hint(source) or share
        raise TypeError(f"{name}: got {type(source).__name__}, expected arrays or batches to iterate over{hint}")
    try:
        split = read_all(source, at_most=max(TIMES * len(trained.train), MANY))
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error
    own = class_names(source)
    known = trained.classes or (tuple(classes) if {*own} <= {*classes} else ())
    return _renumbered(name, split, own, known)


def require_same_order(classes: Sequence[str], own: Sequence[str]) -> None:
    """Raise ValueError for `classes` that are the data's `own` in another order: labels would get wrong names."""
    if classes != own and sorted(classes) == sorted(own):
        got, expected = first_few(classes), first_few(own)
        raise ValueError(f"classes: got {got}, expected {expected}, the order in which the data number them")


def _renumbered(name: str, split: Split, own: Sequence[str], trained: Sequence[str]) -> Split:
    """Labels as in the training set, in which the same classes may be in another order, or more of them."""
    if not own or not trained or own == trained:
        return split
    found, labels = np.unique(split.labels, return_inverse=True)
    for n in found:
        if n >= len(own) or own[n] not in trained:
            one = f"label {n}" if n >= len(own) else f"class {own[n]}"
            raise ValueError(f"{name}: {one} is not among the classes of the training images: {first_few(trained)}")
    numbers = np.array([trained.index(own[n]) for n in found], np.int32)
    return Split(split.images, numbers[labels.reshape(-1)], split.names)
