"""The MNIST family (MNIST, Fashion-MNIST, …): four files in IDX format, gzipped or not.

IDX is a number 0x00000803 (bytes in three axes; 0x00000801 in one), the extent of every axis, then the bytes; numbers
are 32 bits, the most significant first (LeCun, Cortes and Burges 1998).
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from purecnn.data.dataset import Dataset, Split
from purecnn.data.guards import Refused, naming, require_labels, require_room, unpacked

TORCHVISION = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw"}  # where it unpacks them
DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def read_mnist(folder: Path, name: str, classes: tuple[str, ...]) -> Dataset:
    """From `folder`: {train,t10k}-images-idx3-ubyte and {train,t10k}-labels-idx1-ubyte, each with or without .gz.

    Or from the folder in it where torchvision has them, and with a dot before idx, as some unpack them.
    Raises ValueError, naming the file, where one is missing, is not what its name says, or does not fit its partner.
    """
    if folder.is_file():
        hint = f"--data npz reads {folder.name}" if folder.suffix == ".npz" else f"purecnn data fetch {name} gets them"
        raise Refused(f"{folder}: is a file, expected the folder of the four files of {name}; {hint}")
    below = folder / TORCHVISION[name]
    folder = below if below.is_dir() else folder
    train, test = (_split(folder, part, classes, name) for part in ("train", "t10k"))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise Refused(
            f"{folder}: train images are {train.images.shape[1:3]} pixels, test images {test.images.shape[1:3]}, "
            "expected one size"
        )
    return Dataset(name, train, test, classes)


def _split(folder: Path, part: str, classes: tuple[str, ...], name: str) -> Split:
    images_file = _find(folder, f"{part}-images-idx3-ubyte", name)
    labels_file = _find(folder, f"{part}-labels-idx1-ubyte", name)
    images, labels = read_idx(images_file, axes=3), read_idx(labels_file, axes=1)
    if len(images) != len(labels):
        raise Refused(f"{labels_file}: {len(labels)} labels for the {len(images)} images in {images_file.name}")
    require_labels(labels_file, labels, classes)
    return Split(images[..., None], labels.astype(np.int32))


def _find(folder: Path, file: str, name: str) -> Path:
    for path in (folder / file, folder / f"{file}.gz", folder / file.replace("-idx", ".idx")):
        if path.is_file():
            return path
    raise Refused(f"{folder / file}[.gz]: there is no such file; purecnn data fetch {name} gets it")


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The uint8 array in an IDX file, which must have `axes` axes and end where its header says."""
    with naming(path), unpacked(path) as file:
        header = file.read(4 + 4 * axes)
        if len(header) < 4 + 4 * axes:
            raise Refused(f"{path}: ends inside its header, after {len(header)} bytes")
        magic, *shape = struct.unpack(f">{1 + axes}I", header)
        if magic != 0x0800 + axes:
            raise Refused(f"{path}: begins with {magic:#010x}, expected {0x0800 + axes:#010x}, an IDX file of bytes")
        size = math.prod(shape)
        if size == 0:
            raise Refused(f"{path}: declares {' × '.join(map(str, shape))} bytes, expected at least one")
        require_room(path, size, file.packed)
        data = file.read(size + 1)
        if len(data) != size:
            what = "more" if len(data) > size else f"{len(data):,}"
            raise Refused(f"{path}: declares {' × '.join(map(str, shape))} = {size:,} bytes, got {what}")
    return np.frombuffer(data, np.uint8).reshape(shape)
