"""CIFAR-10 and CIFAR-100 in their binary version: no pickle, which runs what a file tells it to.

A record is the label (CIFAR-100: the coarse one, then the fine one, which is used) and 3072 bytes: the red, green and
blue values of 32×32 pixels, row by row (Krizhevsky 2009).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from purecnn.data.dataset import Dataset, Split
from purecnn.data.file_kinds import kind_of
from purecnn.data.guards import CHUNK, Refused, naming, require_inside, require_labels, require_room, unpacked

SIDE, CHANNELS = 32, 3
NAMES_LIMIT = 2**16  # bytes of a file of class names


@dataclass(frozen=True)
class Kind:
    """What tells CIFAR-10 from CIFAR-100."""

    name: str
    labels: int  # bytes before the pixels, the last of which is the class
    classes: int
    folder: str  # the one its archive holds
    archive: str
    train: tuple[str, ...]
    test: str
    names: str


CIFAR10 = Kind(
    "cifar10", 1, 10, "cifar-10-batches-bin", "cifar-10-binary.tar.gz",
    tuple(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin", "batches.meta.txt",
)  # fmt: skip
CIFAR100 = Kind(
    "cifar100", 2, 100, "cifar-100-binary", "cifar-100-binary.tar.gz",
    ("train.bin",), "test.bin", "fine_label_names.txt",
)  # fmt: skip


def read_cifar(path: Path, kind: Kind) -> Dataset:
    """From the published .tar.gz, read without unpacking it, or from a folder with its files, or with the archive.

    Classes have the names in the file of names, or else their numbers. Raises ValueError, naming the file.
    """
    for place in (path / kind.folder, path / kind.archive):
        if not (path / kind.train[0]).exists() and place.exists():
            path = place
            break
    files = dict(_from_archive(path, kind) if path.is_file() else _from_folder(path, kind))
    missing = [name for name in (*kind.train, kind.test) if name not in files]
    if missing:
        python = "python" in path.name
        raise Refused(f"{path}: contains no {missing[0]}{_of_python(kind) if python else ''}")
    classes = tuple(str(n) for n in range(kind.classes))
    if kind.names in files:
        classes = _class_names(f"{path}/{kind.names}", files[kind.names], kind.classes)
    train, test = ([_records(f"{path}/{name}", files.pop(name), kind, classes) for name in names]
                   for names in (kind.train, (kind.test,)))  # fmt: skip
    return Dataset(kind.name, _joined(train), _joined(test), classes)


def _of_python(kind: Kind) -> str:
    """Of the version for Python, which holds pickles, what to do instead."""
    return f"; expected the binary version, not that for Python: purecnn data fetch {kind.name}"


def _from_folder(folder: Path, kind: Kind) -> Iterator[tuple[str, bytes]]:
    for name in (*kind.train, kind.test, kind.names):
        path = folder / name
        if name == kind.names and not path.exists():
            continue
        with naming(path):
            if not path.is_file():
                python = (folder / path.stem).is_file() or folder.name.endswith("-py")
                raise Refused(f"{path}: there is no such file{_of_python(kind) if python else ''}")
            require_room(path, path.stat().st_size)
            with open(path, "rb") as file:
                yield name, file.read(NAMES_LIMIT + 1 if name == kind.names else -1)


def _from_archive(path: Path, kind: Kind) -> Iterator[tuple[str, bytes]]:
    """The members that are wanted, in one pass over the stream; nothing is ever written."""
    seen = set()
    with naming(path):
        if kind_of(path) not in ("a gzip archive", "a tar archive"):
            raise Refused(
                f"{path}: got {kind_of(path) or 'no archive'}, expected {kind.archive}, or the folder of its files"
            )
    with naming(path), unpacked(path) as file, tarfile.open(fileobj=file, mode="r|") as archive:  # type: ignore
        for member in archive:
            require_inside(path, member.name)
            place = PurePosixPath(member.name)
            if place.name not in (*kind.train, kind.test, kind.names):
                continue
            if not member.isreg() or place.name in seen:
                raise Refused(f"{path}: {member.name!r} is {'in it twice' if member.isreg() else 'not a regular file'}")
            seen.add(place.name)
            require_room(f"{path}/{place.name}", member.size, file.packed)
            content = archive.extractfile(member)
            assert content is not None  # it is a plain file
            yield place.name, content.read(NAMES_LIMIT + 1 if place.name == kind.names else -1)
        while file.read(
            CHUNK
        ):  # what follows the last member is read for gzip's checksum, which stands at the very end
            pass


def _records(path: str, data: bytes, kind: Kind, classes: tuple[str, ...]) -> Split:
    record = kind.labels + CHANNELS * SIDE * SIDE
    if len(data) % record or not data:
        raise Refused(f"{path}: {len(data):,} bytes, expected whole records of {record}, at least one")
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    labels = records[:, kind.labels - 1].astype(np.int32)
    require_labels(path, labels, classes)
    planes = records[:, kind.labels :].reshape(-1, CHANNELS, SIDE, SIDE)
    return Split(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)


def _joined(parts: list[Split]) -> Split:
    return Split(np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts]))


def _class_names(path: str, data: bytes, expected: int) -> tuple[str, ...]:
    names = tuple(line.strip() for line in data.decode("utf-8", errors="replace").splitlines() if line.strip())
    if len(data) > NAMES_LIMIT or len(names) != expected or not all(name.isprintable() for name in names):
        raise Refused(f"{path}: expected {expected} names of classes, a line each, got {len(names)} lines")
    return names
