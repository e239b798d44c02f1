"""Images to train on, batch by batch from anything that can be iterated: a DataLoader, tf.data, grain, a list."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np

from purecnn.data.batch_arrays import as_batch
from purecnn.data.dataset import Split
from purecnn.data.guards import memory_limit
from purecnn.data.holdout import first_few
from purecnn.data.suspicions import UNIQUE, check_pixels, columns_hint, warn_of_order

IMAGES = ("image", "images", "img", "pixel_values", "pixels", "x")
ENDLESS = 2**40  # grain says of a set that is repeated for ever that it has 2**63 - 1 entries
ALL = ": what prepares images is to act on all batches, or on none"
NAMED = 8  # columns that an error names
BEHIND = 3  # sets that are looked at behind a loader: parts of a set are sets that have it
LABELS = ("label", "labels", "fine_label", "target", "y")


@dataclass(frozen=True, eq=False)
class Stream:
    """Replaces a `Split` in training. An epoch is `steps` batches; the source is iterated again when it ends.

    `images` has the shape and dtype of all images of an epoch, and no memory of their size.
    """

    source: Iterable[Any]
    steps: int
    batch_size: int
    images: Any
    labels: Any
    told: int | None = None  # batches of an epoch, as the source's length says

    def __len__(self) -> int:
        return self.steps * self.batch_size

    def checksum(self) -> int:
        """0: the content of a stream is not known before it has been read."""
        return 0

    def batches(self, skip: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Images and labels of every batch from batch `skip` of an epoch on, without end.

        A smaller batch is filled up with its own first images. Raises ValueError where the source gives nothing
        when it is iterated again, or images of another shape.
        """
        while True:
            count = 0
            for images, labels in islice(_batches(self.source, self.batch_size), skip, None):
                count += 1
                if images.shape[1:] != self.images.shape[1:] or len(images) > self.batch_size:
                    expected = (self.batch_size, *self.images.shape[1:])
                    raise ValueError(f"data: got a batch of {images.shape}, expected {expected} as the first")
                if images.dtype != self.images.dtype:
                    first = f"{self.images.dtype} as the first{ALL}"
                    raise ValueError(f"data: got a batch of {images.dtype}, expected {first}")
                if count == 1:
                    warn_of_order(labels)
                rows = np.arange(self.batch_size) % len(images)
                yield images[rows], labels[rows]
            if not count:
                expected = f"what can be iterated again, as a class with __iter__, or {self.steps} batches an epoch"
                raise ValueError(f"data: got an iterator that has ended, expected {expected}")
            if self.told is not None and (got := count + skip) < self.told:
                again = "it is iterated again to fill the epoch"
                warnings.warn(
                    f"data: got {got} batches, expected {self.told}, as its length says; {again}", stacklevel=2
                )
            skip = 0


def open_stream(source: Iterable[Any], batch_size: int, steps_per_epoch: int | None = None) -> Stream:
    """The first batch says which shape all have; single samples are put together, `batch_size` a batch.

    Raises ValueError where the source has no length and `steps_per_epoch` is not given, and for what is no pair of
    images and labels.
    """
    if steps_per_epoch is not None and (not isinstance(steps_per_epoch, int) or steps_per_epoch < 1):
        raise ValueError(f"steps_per_epoch: got {steps_per_epoch!r}, expected an integer, at least 1")
    # JAX warns of processes that are forked, as DataLoaders are: they compute nothing with it.
    warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
    iterator = iter(source)
    try:
        first = next(iterator)
    except StopIteration:
        raise ValueError("data: got nothing to iterate over, expected batches") from None
    if iterator is source:  # it cannot be iterated again: the first is put back
        source = _Once(chain([first], iterator))
    pair, single = _pair(first), _is_single(first)
    try:
        images, _ = as_batch(*([each] for each in pair)) if single else as_batch(*pair)
    except ValueError as error:
        if UNIQUE in str(error) and hasattr(source, "class_encode_column"):  # a Hugging Face set
            column = next(name for name in LABELS if name in first)
            how = f"data.class_encode_column({column!r}) makes them, and the names"
            raise ValueError(str(error).replace(UNIQUE, how)) from None
        raise
    check_pixels(images, "data")
    batch_size = batch_size if single else len(images)
    length = _length(source)
    if steps_per_epoch is None and length is None:
        again = "; list(data) says it, of a zip or a generator" if isinstance(source, _Once) else ""
        expected = f"expected the number of batches in an epoch: the data do not say it{again}"
        raise ValueError(f"steps_per_epoch: got none, {expected}")
    told = None if length is None else -(-int(length) // (batch_size if single else 1))
    steps = steps_per_epoch or told or 1
    shape = (steps * batch_size, *images.shape[1:])
    pixels, told = np.broadcast_to(np.zeros((), images.dtype), shape), None if steps_per_epoch else told
    return Stream(source, steps, batch_size, pixels, np.zeros((), np.int32), told)


def _length(source: Any) -> int | None:
    """None where it has none, or does not know it: tf.data raises TypeError for an infinite set and a filtered one."""
    try:
        length = len(source)
    except TypeError:
        return None
    return length if length <= ENDLESS else None


def class_names(source: Any) -> tuple[str, ...]:
    """As a Hugging Face set has them, or a set behind a DataLoader, or a part of one; () where none has."""
    features = getattr(source, "features", None)
    column = next((name for name in LABELS if name in features), "") if isinstance(features, Mapping) else ""
    names = getattr(features[column], "names", None) if features and column else None
    for _ in range(BEHIND):
        source = getattr(source, "dataset", None)
        names = names or getattr(source, "classes", None)
    named = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return tuple(names) if named and names else ()


def _is_endless(source: Any) -> bool:
    """Whether it says so: grain by its length, tf.data by a cardinality of -1."""
    with suppress(TypeError):
        return len(source) > ENDLESS
    with suppress(AttributeError, TypeError):
        return int(source.cardinality()) == -1
    return False


def read_all(source: Any, at_most: int | None = None) -> Split:
    """Arrays (images, labels), or all of an iterable, in memory.

    Raises ValueError for an iterable without an end, which is one that does not say how long it is and gives more
    images than `at_most`, and for more images than half of the memory holds.
    """
    if isinstance(source, Split):
        return source
    if _is_arrays(source):
        return Split(*as_batch(*_pair(source)))
    if isinstance(source, tuple) and len(source) > 2 and all(hasattr(each, "shape") for each in source):
        raise ValueError(f"data: got {len(source)} arrays, expected two, (images, labels)")
    endless, count, size, parts = _is_endless(source), 0, 0, []
    for part in () if endless else _batches(source, 256):
        parts.append(part)
        count, size = count + len(part[0]), size + part[0].nbytes
        if size > memory_limit():
            got = f"{count:,} images of {size:,} bytes and more to come"
            raise ValueError(f"data: got {got}, expected at most half of the memory, {memory_limit():,}")
        if at_most is not None and count > at_most and _length(source) is None:
            endless = True
            break
    if endless:
        got = f"{count:,} images and no end" if count else "a set without an end"
        raise ValueError(f"data: got {got}, as after repeat(), expected one that ends; take(n) ends it after n batches")
    if not parts:
        raise ValueError("data: got nothing to iterate over, expected batches")
    images, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Split(images, labels)


def _is_arrays(source: Any) -> bool:
    """(images, labels), or a dict of both, with arrays, tensors or lists in it."""
    if is_pair(source):
        return True
    pair = isinstance(source, Mapping) or (isinstance(source, tuple) and len(source) == 2)
    return pair and all(hasattr(each, "shape") or isinstance(each, list) for each in _pair(source))


def is_pair(source: Any) -> bool:
    """Whether it is (images, labels) or [images, labels], arrays of these ranks, and not two batches."""
    pair = isinstance(source, list | tuple) and len(source) == 2 and all(hasattr(each, "shape") for each in source)
    return pair and len(source[0].shape) > 2 >= len(source[1].shape)


def _batches(source: Iterable[Any], batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    items = iter(source)
    for first in items:
        pair = _pair(first)
        if not _is_single(first):
            yield as_batch(*pair)
        else:
            rest = (_pair(item) for item in islice(items, batch_size - 1))
            yield as_batch(*map(list, zip(pair, *rest, strict=True)))


def _pair(item: Any) -> tuple[Any, Any]:
    """Images and labels of (images, labels) or of a dict with usual names for them."""
    if isinstance(item, Mapping):
        names = [next((name for name in known if name in item), None) for known in (IMAGES, LABELS)]
        if None in names:
            got = first_few([*map(str, item)], NAMED)
            expected = f"one of {', '.join(IMAGES)} and of {', '.join(LABELS)}{columns_hint(item)}"
            raise ValueError(f"data: got {got}, expected {expected}")
        if (none := next((name for name in names if item[name] is None), None)) is not None:
            raise ValueError(f"data: {none}: got None, expected one for every image; leave out those without")
        return item[names[0]], item[names[1]]
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    got = f"a {type(item).__name__} of {len(item)}" if isinstance(item, tuple | list) else type(item).__name__
    rest = "; leave the rest out" if isinstance(item, tuple | list) and len(item) > 2 else ""
    raise ValueError(f"data: got {got}, expected (images, labels) or a dict of both{rest}")


def _is_single(item: Any) -> bool:
    """Whether it is one image with its label, and no batch."""
    labels = _pair(item)[1]
    try:
        return np.ndim(labels) == 0
    except ValueError:  # lists and tuples of parts that fit into no array
        got = f"{type(labels).__name__} of arrays{', as enumerate gives' if np.ndim(_pair(item)[0]) == 0 else ''}"
        raise ValueError(f"data: labels: got a {got}, expected integers") from None


@dataclass(frozen=True, eq=False)
class _Once:
    """An iterator that may be asked for again where it is."""

    iterator: Iterator[Any]

    def __iter__(self) -> Iterator[Any]:
        return self.iterator
