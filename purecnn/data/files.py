"""Images that are decoded from their files when they are indexed, in place of an array too large for memory.

Threads decode, because the libraries release Python's lock meanwhile. Worker processes were slower for the same files.
grain needs a dozen packages, and its `next` costs more than a batch of small images.
"""

from __future__ import annotations

import dataclasses
import os
import zlib
from array import array
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from purecnn.backend import usable_cores
from purecnn.data.dataset import Streaming
from purecnn.data.image_file import PLAIN, Decoding, attempt, complain, pixels
from purecnn.data.pipeline import DEVICE_LIMIT

SAMPLE = 256  # files of a set that are read beforehand, and whose content is in its checksum


@dataclass(frozen=True, eq=False)
class Names:
    """Many file names, packed into one bytes object: as a Path each would take 400 bytes."""

    letters: bytes
    ends: np.ndarray  # int64

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, number: int) -> str:
        begin = int(self.ends[number - 1]) if number else 0
        return os.fsdecode(self.letters[begin : int(self.ends[number])])


def pack(names: Iterable[str]) -> Names:
    letters, ends = bytearray(), array("q")
    for name in names:
        letters += os.fsencode(name)
        ends.append(len(letters))
    return Names(bytes(letters), np.array(ends, np.int64))


@dataclass(frozen=True, eq=False)
class ChosenNames(Sequence[str]):
    """The names of the files with these numbers."""

    names: Names
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, row: Any) -> Any:
        return self.names[int(self.numbers[row])]


@dataclass(frozen=True, eq=False)
class Files:
    """uint8 (N, H, W, C), decoded when indexed: with integers, an array; with a slice, another `Files`.

    The pixels are those that `read_folder` decodes, or in an epoch of training, with `least_area`, a random crop of
    each (`purecnn.data.random_crop`). They depend on the file, the seed, the epoch and the number of the image in the
    folder, and not on threads, devices, or the images before.
    Indexing raises ValueError, naming files, for those that cannot be read.
    """

    root: Path
    names: Names  # of all files of the folder
    numbers: np.ndarray  # of these among them, int32 (N,)
    sample: tuple[int, ...]  # H, W, C
    decoding: Decoding = PLAIN
    least_area: float | None = None  # None: no crops
    seed: int = 0
    epoch: int | None = None
    threads: int = dataclasses.field(default_factory=usable_cores)

    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.numbers), *self.sample)

    @property
    def nbytes(self) -> int:
        return len(self.numbers) * int(np.prod(self.sample))

    @property
    def file_names(self) -> ChosenNames:
        return ChosenNames(self.names, self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: Any) -> Any:
        chosen = self.numbers[rows]
        if isinstance(rows, slice):
            return dataclasses.replace(self, numbers=chosen)
        return self._decoded(np.ravel(chosen)).reshape(*np.shape(chosen), *self.sample)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._decoded(self.numbers).astype(dtype or self.dtype, copy=False)

    def in_epoch(self, epoch: int) -> Files:
        """The same images with the random crops of this epoch."""
        return dataclasses.replace(self, epoch=epoch)

    def path(self, number: int) -> Path:
        return self.root / self.names[number]

    def checksum(self, labels: np.ndarray) -> int:
        """A checksum of the files' names, the `labels` (N,) and the content of some files, evenly spaced.

        It leaves out the folder's path and dates, so that a folder may be moved, and sizes, so that a file which turned
        out to be damaged may be replaced and the run resumed.
        """
        crc32 = zlib.crc32(repr((self.shape, str(self.dtype))).encode())
        for number in self.numbers:
            crc32 = zlib.crc32(os.fsencode(self.names[int(number)]) + b"\0", crc32)
        for row in evenly_spaced(len(self)):
            crc32 = zlib.crc32(self.path(int(self.numbers[row])).read_bytes(), crc32)
        return zlib.crc32(np.ascontiguousarray(labels, np.int32).data, crc32)

    def _decoded(self, numbers: np.ndarray) -> np.ndarray:
        images = np.empty((len(numbers), *self.sample), np.uint8)
        decode, faults = self._decoder(), {}
        rows = iter(range(len(numbers)))  # each thread takes the next

        def work() -> None:
            for row in rows:
                number = int(numbers[row])
                found = attempt(decode, self.path(number), number)
                if isinstance(found, ValueError):
                    faults[row] = str(found)
                else:
                    images[row] = found

        threads = min(self.threads, len(numbers))
        if threads <= 1:
            work()
        else:
            with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
                for done in [pool.submit(work) for _ in range(threads)]:
                    done.result()
        complain([faults[row] for row in sorted(faults)])
        return images

    def _decoder(self) -> Any:
        if self.least_area is None or self.epoch is None:
            return lambda path, number: pixels(path, self.sample, self.decoding)
        from purecnn.data.random_crop import Crop, random_crop

        crop = Crop(self.seed, self.epoch, self.least_area)
        return lambda path, number: random_crop(path, self.sample, crop, number, self.decoding)


def streams(streaming: Streaming, count: int, sample: tuple[int, ...]) -> bool:
    """Whether images of the shape `sample` stay in their files: auto, where they do not fit on the device.

    "cached" too: they are decoded from their files once, into another file.
    """
    return streaming in ("always", "cached") or (streaming == "auto" and count * int(np.prod(sample)) > DEVICE_LIMIT)


def open_files(root: Path, paths: Sequence[str], sample: tuple[int, ...], decoding: Decoding = PLAIN) -> Files:
    """The files at `paths`, which begin with that of `root`, as images (H, W, C) = `sample`; none is opened."""
    begin = len(str(root / "_")) - 1
    names = pack(path[begin:] for path in paths)
    return Files(root, names, np.arange(len(paths), dtype=np.int32), sample, decoding)


def evenly_spaced(count: int, at_most: int | None = None) -> np.ndarray:
    """At most so many of the numbers below `count`, SAMPLE by default."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLE if at_most is None else at_most)).astype(int))
