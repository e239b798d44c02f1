"""What a reader returns, and how its pixels become the input of a net."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

SplitName = Literal["train", "val", "test"]
Streaming = Literal["auto", "always", "never", "cached"]  # whether a folder's images stay in their files
SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)


@dataclass(frozen=True, repr=False)
class Split:
    """Images (N, H, W, C) and the class of each, (N,) in int32.

    Pixels are float32 in [0, 1], or uint8 as they come from a file: a quarter of the memory, on the host, on the device
    and on the way between them. `to_float` makes one of the other, inside the compiled step.
    """

    images: Any  # an array, or what stands for one: purecnn.data.files.Files
    labels: np.ndarray
    names: Sequence[str] = ()  # of the files, or none

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        size = "×".join(map(str, self.images.shape[1:]))
        return f"Split({len(self):,} images of {size}, {self.images.dtype})"

    def checksum(self) -> int:
        """A checksum of its pixels and labels, which identifies the split wherever it is stored.

        Images that stay in their files have another checksum.
        """
        if hasattr(self.images, "checksum"):
            return self.images.checksum(self.labels)
        crc32 = zlib.crc32(repr((self.images.shape, str(self.images.dtype))).encode())
        for array in (self.images, self.labels):
            crc32 = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, crc32)
        return crc32


@dataclass(frozen=True)
class Dataset:
    """The images to train on, those for validation (`val`) and for the final test, and the names of classes 0, 1, ….

    `val` chooses the best weights and can end a run early; `test` is evaluated once, at the end. Either may be None.
    `notes` say, in one line each, how the splits were made.
    """

    name: str
    train: Any  # a Split, or the like: purecnn.data.stream.Stream
    test: Split | None
    classes: tuple[str, ...]
    val: Split | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()  # files that were left out, and why
    decoding: Any = None  # how files became pixels: a purecnn.data.image_file.Decoding

    def splits(self) -> dict[SplitName, Any]:
        """The splits that exist; `train` is empty where a trained net is tested with others."""
        return {name: split for name in SPLIT_NAMES if (split := getattr(self, name)) is not None and len(split)}

    def split(self, name: SplitName) -> Any:
        """Raises ValueError if the set has none of that name."""
        found = self.splits()
        if name not in found:
            raise ValueError(f"split: got {name!r}, expected one of {', '.join(found)}, which {self.name} has")
        return found[name]


def describe_splits(data: Dataset) -> str:
    """The number of images of each split, in words."""
    words = {"train": "to train on", "val": "to validate", "test": "to test with"}
    (_, train), *others = data.splits().items()
    more = "".join(f", {len(split):,} {words[name]}" for name, split in others)
    return f"{len(train):,} images {words['train']}{more}"


def to_float(images: Any) -> Any:
    """Images as a net takes them, float32 in [0, 1]: uint8 divided by 255, float32 as it is. NumPy's arrays or JAX's.

    Written as a product: a compiler may turn a division into one, and then rounds otherwise than NumPy.
    """
    return images.astype(np.float32) * np.float32(1 / 255) if images.dtype == np.uint8 else images
