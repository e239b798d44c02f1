"""Warnings about data that can be read and is probably wrong, which only its owner can know."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from purecnn.data.dataset import Dataset, Split
from purecnn.data.file_kinds import SUFFIXES
from purecnn.data.pipeline import DEVICE_LIMIT

BRIGHT = 10.0  # floating pixels without a sign that go beyond this are hardly what a net should see
DARK = 1.01 / 255  # what bytes in [0, 1] become where they are divided by 255 once more
FEW = (1, 3, 4)  # channels
NOT_PLAIN = ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV")  # modes of PIL
FILES = "a folder of images is given by its own path, and a table of its files as labels='FILE.csv'"
LITTLE = "the accuracy says little of new images"
WHAT = {"val": "validate", "test": "test with"}
BETWEEN_WORDS = r"[\s_]+|(?<=[^\W\d])-(?=[^\W\d])"
MANY = 16  # images that are hardly of one class by chance


def warn_of_repeats(data: Dataset) -> None:
    """An image that is trained on says nothing of new ones when it is tested with; one of two classes misleads.

    Images in memory are compared, and those decoded to disk if they would fit on a device; of those in files see
    `purecnn.data.repeated_files`.
    """
    known: dict[bytes, int] = {}  # of the images seen so far, the first with these pixels
    splits = {name: split for name, split in data.splits().items() if _in_reach(split)}
    if "train" not in splits:
        return
    both: list[str] = []
    labels, places = [], []
    for name, split in splits.items():
        repeated = []
        for n, image in enumerate(split.images):
            key = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
            first = known.setdefault(key, len(places))
            places.append(f"{name} {n}" if not split.names else split.names[n])
            labels.append(int(split.labels[n]))
            if labels[first] != labels[-1]:
                both.append(f"{places[first]} and {places[-1]}")
            if name != "train" and first < len(splits["train"]):
                repeated.append(places[-1])
        if repeated:
            warnings.warn(
                f"{data.name}: {len(repeated):,} of {len(split):,} images to {WHAT[name]} are also among those to "
                f"train on, such as {repeated[0]}: {LITTLE}",
                stacklevel=3,
            )
    if both:
        pairs = "pair of equal images has" if len(both) == 1 else "pairs of equal images have"
        warnings.warn(f"{data.name}: {len(both):,} {pairs} two classes, such as {both[0]}", stacklevel=3)


def _in_reach(split: Any) -> bool:
    images = split.images if isinstance(split, Split) else None
    mapped = isinstance(images, np.memmap)
    return isinstance(images, np.ndarray) and (not mapped or images.nbytes <= DEVICE_LIMIT)


def check_pixels(images: np.ndarray, where: str) -> None:
    """Of arrays that a program made, warn of floating pixels up to 255, or 1/255, and of channels before height.

    Raises ValueError for NaN and infinity.
    """
    if images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())  # NaN if there is one anywhere
        if not np.isfinite(high - low):
            raise ValueError(f"{where}: images: got values from {low:g} to {high:g}, expected finite ones")
        if low >= 0 and high > BRIGHT:
            message = f"got floating numbers from {low:g} to {high:g}, expected [0, 1], normalised ones, or uint8"
            warnings.warn(f"{where}: {message}", stacklevel=3)
        elif low >= 0 and 0 < high <= DARK:
            message = f"got floating numbers from {low:g} to {high:g}, expected up to 1: are they divided by 255 twice?"
            warnings.warn(f"{where}: {message}", stacklevel=3)
    _, height, width, channels = images.shape
    if channels > max(FEW) and height in FEW and (height > 1 or width == channels):
        message = f"got shape {images.shape}, taken as (N, H, W, C); of N C H W: images.transpose(0, 2, 3, 1)"
        warnings.warn(f"{where}: {message}", stacklevel=3)


def warn_of_like_names(data: Dataset) -> None:
    """Of two classes whose names differ in upper and lower case alone, or in how words or numbers are written."""
    first: dict[str, str] = {}
    for name in data.classes:
        words = " ".join(re.split(BETWEEN_WORDS, name.casefold())).strip()
        if re.fullmatch(r"\d+(\.0+)?", words):
            words = str(int(words.partition(".")[0]))
        if (other := first.setdefault(words, name)) != name:
            message = f"{other!r} and {name!r} are two classes, expected one name for each"
            warnings.warn(f"{data.name}: {message}", stacklevel=3)


def pixel_hint(images: np.ndarray) -> str:
    """How to make valid pixels of such numbers, for the end of an error; "" where that is not known."""
    if images.dtype.kind == "f":
        return "; images / 255 makes them" if 0 <= images.min() <= images.max() <= 255 else ""
    if images.dtype == bool:
        return "; images.astype(np.float32) makes them"
    if images.dtype.kind not in "iu":
        return ""
    low, high = int(images.min()), int(images.max())
    if 0 <= low <= high <= 255:
        return "; images.astype(np.uint8) makes them"
    how = f"images / {2**16 - 1 if high < 2**16 else high}" if low >= 0 else "(images - images.min()) / np.ptp(images)"
    return f"; {how} makes them"


def label_hint(labels: np.ndarray) -> str:
    """How to make integers of such labels, for the end of an error; "" where that is not known."""
    if labels.ndim > 2:
        return "; an image has one class, and its pixels have none"
    if labels.ndim == 2:
        one_hot = (
            labels.dtype.kind in "biuf" and ((labels == 1).sum(1) == 1).all() and (labels != 0).sum() == len(labels)
        )
        return "; of one-hot rows, labels.argmax(1) makes them" if one_hot else "; an image has one class"
    if labels.dtype.kind in "US" or (labels.dtype == object and all(isinstance(label, str) for label in labels)):
        return f"; of text, {UNIQUE}"
    if labels.dtype == object and not all(isinstance(label, int | float | np.number) for label in labels.flat):
        return ""
    if labels.dtype.kind not in "bfO":  # integers, but as many as there are images
        return ""
    numbers = labels.astype(float)
    if np.isnan(numbers).any():
        return "; some are NaN, as of images without one"
    whole = (numbers == np.round(numbers)).all()
    return "; labels.astype(int) makes them" if whole else "; an image has one class, and values are not predicted"


UNIQUE = "classes, labels = np.unique(labels, return_inverse=True) makes them, and the names"
FROM_0 = "labels count from 0: labels - 1 makes them"
NO_LABEL = "images without a label have -1 in many sets: leave them out"


def require_class_numbers(labels: np.ndarray) -> None:
    """Raise ValueError for integers that are below 0, or so large that they would begin anew at 0 in int32."""
    odd = next((n for n in (labels.max(), labels.min()) if not 0 <= n <= np.iinfo(np.int32).max), None)
    if odd is not None:
        hint = NO_LABEL if odd == -1 else UNIQUE
        raise ValueError(f"data: labels: got {odd}, expected the numbers of classes: 0, 1, …; {hint}")


def require_pixels(image: Any) -> None:
    """Raise ValueError for what stands for an image and has no pixels: its path, or its file's bytes."""
    if image is None:
        raise ValueError("data: images: got None, expected one for every label; leave out those without")
    if isinstance(image, str | os.PathLike):
        how = f"np.asarray(PIL.Image.open(path)) has them; {FILES}"
        raise ValueError(f"data: images: got a path, expected pixels; {how}")
    if isinstance(image, bytes | Mapping):
        how = 'cast_column("image", datasets.Image()) decodes those of Hugging Face'
        raise ValueError(f"data: images: got {type(image).__name__}, expected pixels; {how}")


def require_plain_colours(image: Any) -> None:
    """Raise ValueError for an image of PIL's whose numbers are no grey nor red, green and blue: of a palette."""
    mode = getattr(image, "mode", None) if hasattr(image, "convert") else None
    if mode in NOT_PLAIN:
        what = f"got an image of mode {mode}, expected grey ones or RGB; image.convert('RGB') makes it"
        raise ValueError(f"data: images: {what}")


def same_shape_hint(images: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> str:
    """How to make PIL's images alike that have these shapes, at the end of an error; "" for others."""
    if not all(hasattr(image, "convert") for image in images):
        return ""
    how = "convert('RGB')" if len({shape[2:] for shape in shapes}) > 1 else "resize((W, H))"
    return f"; image.{how} brings them to one"


def columns_hint(item: Mapping[Any, Any]) -> str:
    """At the end of an error about a dict or table: how splits are given, as x_train, and files; "" for others."""
    if any("train" in str(name).lower() for name in item):
        return "; splits are given as {'train': (images, labels), 'test': …}"
    some = any(str(_first(value)).lower().endswith(tuple(SUFFIXES)) for value in item.values())
    return f"; {FILES}" if some else ""


def _first(value: Any) -> Any:
    """Of a column its first one; a word, and a number, is its own."""
    if isinstance(value, str | os.PathLike):
        return value
    try:
        return next(iter(value), "")
    except TypeError:
        return value


def require_labels(where: str, low: int, high: int, outputs: int) -> None:
    """Raise ValueError for labels from `low` to `high` that are not from 0 to below the outputs of a net."""
    if not 0 <= low <= high < outputs:
        hint = f": the net has {outputs} output{'s' * (outputs != 1)}, one is needed for each class" if low >= 0 else ""
        hint = f"; {FROM_0}" if (low, high) == (1, outputs) else hint
        raise ValueError(f"{where}: got labels {low} to {high}, expected 0 to {outputs - 1}{hint}")


def warn_of_order(labels: np.ndarray) -> None:
    """Of the first batch of an epoch: a set that comes class by class trains badly, and nothing here shuffles it."""
    if len(labels) >= MANY and (labels == labels[0]).all():
        message = f"all {len(labels)} images of the first batch are of class {labels[0]}, expected them shuffled"
        warnings.warn(f"data: {message}", stacklevel=3)


def call_hint(source: Any) -> str:
    """At the end of an error, for a function that gives them, which others call themselves."""
    if inspect.isgeneratorfunction(source):
        return (
            f"; list({source.__name__}()) keeps its batches, a class whose __iter__ calls it has them anew every epoch"
        )
    return f"; call it: {getattr(source, '__name__', 'it')}()" if callable(source) else ""


def loaders_hint(source: Any) -> str:
    """At the end of an error, for what holds loaders, as fastai's DataLoaders and Lightning's DataModule."""
    for train, val, call in (("train_dataloader", "val_dataloader", "()"), ("train", "valid", "")):
        if hasattr(source, train) and hasattr(source, val):
            return f"; {{'train': data.{train}{call}, 'val': data.{val}{call}}} gives those in it"
    return ""


def item_hint(source: Any) -> str:
    """At the end of an error, for what has items and cannot be iterated: batches, as Keras' Sequence, or samples."""
    try:
        batches = np.ndim(source[0][1]) > 0
    except Exception:  # whatever a program's own set raises
        batches = False
    if batches:
        return "; its items are batches: [data[i] for i in range(len(data))] gives these"
    return "; torch.utils.data.DataLoader(data, batch_size=32, shuffle=True) gives these"
