"""Arrays in a NumPy .npz file: x_train, y_train, x_test, y_test, or images, labels; classes if they have names.

x_val and y_val beside them are the images to validate with. Other tools' names are taken too: X_train, train_images,
test_labels, y_valid, x and y.

The file is a zip of .npy files. Their headers are read and judged before any array is; pickled objects are refused.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np

from purecnn.data.dataset import Dataset, Split
from purecnn.data.file_kinds import kind_of
from purecnn.data.guards import Refused, naming, require_inside, require_room
from purecnn.data.holdout import held_out
from purecnn.data.layout import NAMES
from purecnn.data.suspicions import FROM_0, NO_LABEL, UNIQUE, label_hint, pixel_hint

HEADER_LIMIT = 10_000  # bytes; NumPy's own
NAMES_LIMIT = 2**20
MAX_CLASSES = 2**16
EXPECTED = "x_train, y_train, x_test, y_test or images, labels"
IMAGES = ("x", "images", "image")
LABELS = ("y", "labels", "label", "targets", "target")
WHOLE = "whole"


def read_npz(path: Path) -> Dataset:
    """Images (N, H, W) or (N, H, W, C), uint8 or floating in [0, 1]; labels (N,), integers from 0 on, none left out.

    Undivided sets hold out a fifth of every class to test with. Raises ValueError, naming file and array.
    """
    if not path.is_file():
        folder = "is a folder, expected a file of arrays; --data folder reads images"
        raise Refused(f"{path}: {folder if path.is_dir() else 'there is no such file'}")
    with naming(path):
        if not zipfile.is_zipfile(path):
            kind = kind_of(path)
            got = "a zip file whose end is missing" if kind == "a ZIP archive" else kind or "no zip file"
            expected = "arrays by their names, as np.savez writes them; purecnn.train.fit takes those of other files"
            raise Refused(f"{path}: got {got}, expected {expected}")
    with naming(path), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            require_inside(path, name)
        members = {name.removesuffix(".npy") for name in archive.namelist()}
        names = _names(path, members)
        arrays = {name: _array(path, archive, name) for pair in names.values() for name in pair}
        named = _array(path, archive, "classes") if "classes" in members else None
    splits = {part: _split(f"{path}: {x}", arrays.pop(x), f"{path}: {y}", arrays.pop(y))
              for part, (x, y) in names.items()}  # fmt: skip
    val = splits.get("val")
    train, test = _divided(path, splits[WHOLE]) if WHOLE in splits else (splits["train"], splits["test"])
    first, *_ = names
    for part, other in splits.items():
        if train.images.shape[1:] != other.images.shape[1:] or train.images.dtype != other.images.dtype:
            raise Refused(
                f"{path}: {names[first][0]} is {train.images.dtype}{train.images.shape[1:]}, {names[part][0]} "
                f"{other.images.dtype}{other.images.shape[1:]} an image, expected the same"
            )
    return Dataset(path.stem, train, test, _classes(path, named, train, test, val or test), val)


def _names(path: Path, members: set[str]) -> dict[str, tuple[str, str]]:
    """Images and labels of train and test or of the whole, and of val where it is there."""
    found: dict[str, dict[str, str]] = {}
    for name in sorted(members):
        words = name.lower().split("_")
        kinds = ["images" if word in IMAGES else "labels" for word in words if word in (*IMAGES, *LABELS)]
        parts = [NAMES[word] for word in words if word in NAMES]
        if len(kinds) == 1 and len(parts) <= 1 and len(words) == 1 + len(parts):
            pair = found.setdefault(parts[0] if parts else WHOLE, {})
            if kinds[0] in pair:
                raise Refused(f"{path}: got the arrays {pair[kinds[0]]} and {name}, expected one of them")
            pair[kinds[0]] = name
    pairs = {part: (pair["images"], pair["labels"]) for part, pair in found.items() if len(pair) == 2}
    chosen = next((some for some in (("train", "test"), (WHOLE,)) if pairs.keys() >= set(some)), None)
    if chosen is None:
        raise Refused(f"{path}: expected arrays {EXPECTED}; got {', '.join(sorted(members)[:8]) or 'none'}")
    return {part: pairs[part] for part in (*chosen, "val") if part in pairs}


def _array(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array, after its header has been compared with the bytes that are there."""
    where = f"{path}: {name}"
    info = archive.getinfo(f"{name}.npy" if f"{name}.npy" in archive.namelist() else name)
    with naming(where), archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read_header:
            raise Refused(f"{where}: got version {version} of the .npy format, expected 1.0 or 2.0")
        shape, fortran, dtype = read_header[version](file, max_header_size=HEADER_LIMIT)
        if dtype.hasobject or dtype.kind not in "biufUS":
            raise Refused(f"{where}: got dtype {dtype}, expected numbers; pickled objects are not read")
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=1) < 0 or file.tell() + size != info.file_size:
            raise Refused(f"{where}: declares {dtype}{shape}, {size:,} bytes, in {info.file_size:,}")
        require_room(where, size, info.compress_size)
        data = file.read(size)
        if len(data) != size or file.read(1):
            raise Refused(f"{where}: declares {size:,} bytes, got {len(data):,}")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _split(x: str, images: np.ndarray, y: str, labels: np.ndarray) -> Split:
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape:
        flat = "; images.reshape(-1, H, W, C) makes them" if images.ndim == 2 else ", none of them 0"
        raise Refused(f"{x}: got shape {images.shape}, expected (N, H, W) or (N, H, W, C){flat}")
    if images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())  # NaN if there is one anywhere
        if not (low >= 0 and high <= 1):
            hint = pixel_hint(images) or "; purecnn.train.fit takes arrays of any finite values"
            raise Refused(
                f"{x}: got values from {low:g} to {high:g}, expected [0, 1] in {images.dtype}, or uint8{hint}"
            )
        images = images.astype(np.float32)
    elif images.dtype != np.uint8:
        raise Refused(f"{x}: got dtype {images.dtype}, expected uint8, or floating in [0, 1]{pixel_hint(images)}")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        expected = f"expected integers, one for each of {len(images)} images{label_hint(labels)}"
        raise Refused(f"{y}: got {labels.dtype}{labels.shape}, {expected}")
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        hint = NO_LABEL if labels.min() == -1 else UNIQUE
        raise Refused(f"{y}: got labels from {labels.min()} to {labels.max()}, expected 0, 1, …, each used; {hint}")
    return Split(np.ascontiguousarray(images), labels.astype(np.int32))


def _divided(path: Path, whole: Split) -> tuple[Split, Split]:
    lonely = np.flatnonzero(np.bincount(whole.labels) == 1)
    if len(lonely):
        raise Refused(f"{path}: labels: class {lonely[0]} has one image, expected at least 2: one is held out")
    chosen = held_out([str(n) for n in range(len(whole))], whole.labels)
    train, test = (Split(whole.images[part], whole.labels[part]) for part in (~chosen, chosen))
    return train, test


def _classes(path: Path, named: np.ndarray | None, *splits: Split) -> tuple[str, ...]:
    """The names in `classes`, or numbers. Every class must have an image to train on, and every label a class."""
    train, highest = splits[0], max(int(split.labels.max()) for split in splits)
    count = 1 + highest if named is None else named.size
    if named is not None and (named.ndim != 1 or named.dtype.kind != "U" or named.nbytes > NAMES_LIMIT):
        raise Refused(f"{path}: classes: got {named.dtype}{named.shape}, expected a list of names, as text")
    used = np.bincount(train.labels, minlength=count)
    if len(used) != count or highest >= count:
        raise Refused(f"{path}: classes: {count} names for labels up to {highest}")
    if not used.all():
        hint = f"; {UNIQUE}" if named is None else ""
        hint = f"; {FROM_0}" if not used[0] and used[1:].all() else hint
        raise Refused(f"{path}: class {int(np.argmin(used))} has no image to train on{hint}")
    names = tuple(str(n) for n in (range(count) if named is None else named))
    if not all(name.isprintable() and name for name in names):
        raise Refused(f"{path}: classes: expected names that can be printed")
    return names
