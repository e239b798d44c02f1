"""A folder of images by class: ROOT/CLASS/…, or ROOT/train/CLASS/… with or without ROOT/val/CLASS/… and ROOT/test/…."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np

from purecnn.data.dataset import Dataset, Split
from purecnn.data.guards import Refused, naming, require_room
from purecnn.data.holdout import TEST, TEST_SHARE, TRAIN, VAL, VAL_SHARE, divided, percent
from purecnn.data.image_file import complain, in_threads, pixels, read_header
from purecnn.data.layout import split_folders

SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"}
GREY = {"1", "L", "LA", "I;16", "I;16B", "I;16L"}


def read_folder(root: Path, image_size: tuple[int, int] | None = None, val_share: float = VAL_SHARE) -> Dataset:
    """uint8 images, grey (C = 1) if all are and else RGB, of `image_size` (height, width) or else of the one they have.

    Classes are the folders' names in order; what is held out where splits are missing is said in `notes` (`_divided`).
    Turned as EXIF says; what is transparent is black; 16 bits become 8; of an animation the first image counts.
    Raises ValueError, naming files, for one that is no image, sizes that differ, and a class without images.
    """
    if not root.is_dir():
        raise Refused(f"{root}: there is no such folder")
    classes, files, labels, part, notes = _divided(root, val_share)
    order = np.argsort(part, kind="stable")  # so that all are parts of one array, and none is copied
    images, labels = _decoded(root, [files[n] for n in order], image_size), labels[order]
    edges = np.searchsorted(part[order], [TRAIN, VAL, TEST, TEST + 1])
    train, val, test = (Split(images[a:b], labels[a:b]) for a, b in pairwise(edges))
    return Dataset(root.resolve().name, train, test if len(test) else None, classes, val if len(val) else None, notes)


def _divided(
    root: Path, val_share: float
) -> tuple[tuple[str, ...], list[Path], np.ndarray, np.ndarray, tuple[str, ...]]:
    """Classes, files, the label of each and the split of each, and what there is to say of the splits.

    With folders of all three splits nothing is held out. Of two, the second is the test set, whichever it is called,
    and a share of train validates. Of train alone, or of classes, both are held out by the files' names.
    """
    found = split_folders(root, _subfolders(root))
    classes, files, labels = _files(root / found.get("train", ""))
    where = f" of {found['train']}" if found else ""
    second = found.get("test", found.get("val"))
    names = [f"{path.parent.name}/{path.name}" for path in files]
    lonely = np.flatnonzero(np.bincount(labels) == 1)
    if second is None and len(lonely):
        named = root / found.get("train", "") / classes[lonely[0]]
        raise Refused(f"{named}: got one image, expected at least 2, one to test with")
    part = divided(names, labels, val_share=0.0 if len(found) == 3 else val_share, test=second is None)
    held = [f"{percent(TEST_SHARE)} to test with"] * (second is None) + [f"{percent(val_share)} to validate"] * bool(
        val_share and len(found) < 3
    )
    notes = [f"held out of every class{where}, by file name: {' and '.join(held)}"] if held else []
    if len(found) == 2 and second == found.get("val"):
        notes.insert(0, f"of the two folders, {second} is the one to test with")
    for split, code in (("val", VAL if "test" in found else TEST), ("test", TEST)):
        if split in found:
            _, more, more_labels = _files(root / found[split], classes)
            files, labels = files + more, np.concatenate([labels, more_labels])
            part = np.concatenate([part, np.full(len(more), code)])
    return classes, files, labels, part, tuple(notes)


def read_image(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """One image made as `read_folder` makes those of a folder: uint8, (height, width, channels) = `shape`.

    Raises ValueError, naming the file, for one that is no image.
    """
    return in_threads(pixels, [path], [shape])[0]


def _subfolders(root: Path) -> list[str]:
    with naming(root):
        return sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))


def _files(root: Path, known: tuple[str, ...] | None = None) -> tuple[tuple[str, ...], list[Path], np.ndarray]:
    """The classes in `root`, their files and the label of each; `known` are the classes there may be, each or not."""
    folders = tuple(_subfolders(root))
    classes = folders if known is None else known
    if len(classes) < 2:
        raise Refused(f"{root}: got {len(classes)} folders, expected one for every class, at least 2")
    files, labels, strange = [], [], []
    for name in folders:
        if name not in classes:
            raise Refused(f"{root}: class {name} is in {root.name} alone, expected those of the training images")
        if not name.isprintable():
            raise Refused(f"{root / name}: expected a name that can be printed, as that of a class")
        with naming(root / name):
            inside = sorted(path for path in (root / name).iterdir() if not _is_litter(path))
        if not inside and known is None:
            raise Refused(f"{root / name}: got no images, expected at least one in the folder of a class")
        strange += [f"{path}: expected a file of an image" for path in inside if not _may_be_image(path)]
        files += inside
        labels += [classes.index(name)] * len(inside)
    if not files:
        raise Refused(f"{root}: got no images, expected some of the classes")
    complain(strange)
    return classes, files, np.array(labels, np.int32)


def _is_litter(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in ("thumbs.db", "desktop.ini")


def _may_be_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _decoded(root: Path, files: list[Path], image_size: tuple[int, int] | None) -> np.ndarray:
    """All images in one array, after the headers of all have been looked at."""
    headers = in_threads(read_header, files)
    size = image_size
    if size is None:
        size = headers[0][:2]
        for path, header in zip(files, headers, strict=True):
            if header[:2] != size:
                raise Refused(
                    f"{files[0]}: {size[0]}×{size[1]} pixels, {path}: {header[0]}×{header[1]}; expected one size, "
                    "or an image size to make them"
                )
    channels = 1 if all(mode in GREY for *_, mode in headers) else 3
    require_room(root, len(files) * size[0] * size[1] * channels)
    images = np.empty((len(files), *size, channels), np.uint8)

    def fill(path: Path, place: np.ndarray) -> None:
        place[...] = pixels(path, place.shape)

    in_threads(fill, files, images)
    return images
