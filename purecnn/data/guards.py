"""Protection from broken and hostile files for every reader: limits on memory, and errors that name the file."""

from __future__ import annotations

import errno
import functools
import gzip
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

# What unpacks to more than HARMLESS bytes and to more than EXPANSION times its own size is refused as a decompression
# bomb: MNIST unpacks to five times its size, images of one colour to about a thousand times.
HARMLESS = 2**26
EXPANSION = 200
CHUNK = 2**20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a quota, a limit on files
ADDRESS = re.compile(r"[a-z][a-z0-9+]+:/")  # of a scheme, which has two letters at least: c:/ is a disk of Windows


class Refused(ValueError):
    """An error in one line that names its file; unprintable characters in a hostile file's name are escaped."""

    def __init__(self, message: str):
        super().__init__(printable(message))


def printable(text: str) -> str:
    """In one line: signs that are not printable, as a file's name may have, are escaped."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def fetch_hint(path: Path | str) -> str:
    """At the end of an error, of an address in the place of a file; "" for all else. A Path has one slash of two."""
    if not ADDRESS.match(str(path)) or os.path.lexists(path):
        return ""
    return "; /… alone, without file:" if str(path).startswith("file:") else "; fetch it first, as with curl -O"


def in_bytes(count: int) -> str:
    """As "15.1 GB", "3.2 MB", "912 kB" or "75 bytes"."""
    for unit, size, digits in (("GB", 1e9, 1), ("MB", 1e6, 1), ("kB", 1e3, 0)):
        if count / size >= 0.9995:  # else it would be 1,000 of the smaller one
            return f"{count / size:,.{digits}f} {unit}"
    return f"{count:,} bytes"


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Inside, any exception that a library raises for a broken file becomes `path: reason`.

    All exceptions are caught: those of zipfile, tarfile, zlib, NumPy and Pillow on hostile bytes are no fixed list.
    """
    try:
        yield
    except Refused:
        raise
    except FileNotFoundError:
        raise Refused(f"{path}: there is no such file{fetch_hint(path)}") from None
    except MemoryError as error:
        raise Refused(f"{path}: does not fit in memory") from error
    except Exception as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise Refused(f"{path}: {reason[:300]}") from error


@functools.cache
def memory_limit(cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes the images of one data set may take: half of the machine's memory, or of a container's."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        machine = 2**34
    return min([machine, *_container_limits(cgroups, own)]) // 2


def _container_limits(cgroups: Path, own: Path) -> Iterator[int]:
    """Of the control groups that this process is in, version 2 and 1; none where there are none."""
    try:
        groups = [line.split(":", 2)[2].strip("/") for line in own.read_text().splitlines() if line.count(":") >= 2]
    except OSError:
        groups = []
    for group in {PurePosixPath(name) for name in ["", *groups]}:
        for place in (group, *group.parents):
            for file in (cgroups / place / "memory.max", cgroups / "memory" / place / "memory.limit_in_bytes"):
                try:
                    yield int(file.read_text())
                except (OSError, ValueError):  # there is none, or it says max
                    continue


def require_room(path: Path | str, wanted: int, packed: int | None = None) -> None:
    """Refuse, before allocating, more bytes than memory has, or than a file of `packed` bytes plausibly unpacks to."""
    if wanted > memory_limit():
        raise Refused(
            f"{path}: declares {wanted:,} bytes, expected at most half of the available memory, {memory_limit():,}"
        )
    if packed is not None and wanted > max(HARMLESS, EXPANSION * packed):
        raise Refused(
            f"{path}: declares {wanted:,} bytes in {packed:,}; more than {EXPANSION} times as many are "
            "refused as a decompression bomb"
        )


def require_inside(path: Path, name: str) -> None:
    """Refuse an archive with a member whose name leads out of it. Nothing is unpacked, but it is hostile."""
    place = PurePosixPath(name.replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts:
        raise Refused(f"{path}: {name[:100]!r} leads out of the archive")


@dataclass
class Unpacked:
    """The content of a file, which gives no more bytes than an honest file of its size holds."""

    path: Path
    file: Any  # has read
    packed: int | None  # the size of the file, if it is a packed one
    given: int = 0

    def read(self, count: int) -> bytes:
        """`count` bytes or all that are left, in chunks: a single read allocates `count` bytes, whatever there is."""
        chunks = bytearray()
        while len(chunks) < count and (chunk := self.file.read(min(CHUNK, count - len(chunks)))):
            chunks += chunk
            self.given += len(chunk)
            require_room(self.path, self.given, self.packed)
        return bytes(chunks)


@contextmanager
def unpacked(path: Path) -> Iterator[Unpacked]:
    """`path` for reading, through gzip if its first two bytes are gzip's, whatever it is called."""
    if not path.is_file():  # reading a pipe could wait forever
        raise Refused(f"{path}: there is no such file")
    with open(path, "rb") as raw:
        is_packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if is_packed:
            with gzip.GzipFile(fileobj=raw) as file:
                yield Unpacked(path, file, path.stat().st_size)
        else:
            yield Unpacked(path, raw, None)


def require_labels(path: Path | str, labels: np.ndarray, classes: Sequence[str]) -> None:
    """Refuse labels (N,), unsigned, that are not below the number of classes."""
    if labels.max() >= len(classes):
        wrong = int(np.argmax(labels >= len(classes)))
        raise Refused(f"{path}: label {wrong} is {labels[wrong]}, expected 0 to {len(classes) - 1}")
