"""Images that stay in their files and are trained on as well as tested with: a warning, without decoding them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from purecnn.data.dataset import Dataset, Split
from purecnn.data.pipeline import in_files
from purecnn.data.suspicions import LITTLE, WHAT

LOOKED_UP = 20_000  # training files whose sizes are asked for: a tenth of a second where the disk is in this machine
PIECE = 4096  # bytes


def warn_of_repeated_files(data: Dataset) -> None:
    """As `purecnn.data.suspicions.warn_of_repeats`, of some of the images that validate and test, evenly spaced.

    They are compared by their bytes, whatever they are called, with LOOKED_UP training files, evenly spaced, and with
    every one of the same class and name.
    """
    held_out = {name: split for name, split in data.splits().items() if name != "train" and in_files(split)}
    if not held_out or not in_files(data.train):
        return
    from purecnn.data.files import evenly_spaced  # which takes Pillow to import

    looked_at = {name: evenly_spaced(len(split)).tolist() for name, split in held_out.items()}
    called = {_called(split, row) for name, split in held_out.items() for row in looked_at[name]}
    rows = {row for row in range(len(data.train)) if _called(data.train, row) in called}
    rows |= set(evenly_spaced(len(data.train), LOOKED_UP).tolist())
    trained = {_path(data.train, row): data.train.names[row] for row in sorted(rows)}
    held = {name: {_path(split, row): split.names[row] for row in looked_at[name]} for name, split in held_out.items()}
    first: dict[Path, Path] = {}
    for one, other in same_bytes([path for paths in held.values() for path in paths], trained):
        first.setdefault(one, other)
    for name, paths in held.items():
        found = [path for path in first if path in paths]
        if found:
            one = found[0]
            warnings.warn(
                f"{data.name}: {len(found):,} of {len(paths):,} images to {WHAT[name]} that were looked at are "
                f"also among those to train on, such as {paths[one]}, which is {trained[first[one]]}: {LITTLE}",
                stacklevel=3,
            )


def same_bytes(sought: Sequence[Path], among: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """(one of `sought`, one of `among`) with the same bytes in both. What cannot be read equals nothing.

    Files are read where their size is that of one sought: a piece of them, and all where that is the same too.
    """
    sizes: dict[int, list[Path]] = {}
    for path in sought:
        with contextlib.suppress(OSError):
            sizes.setdefault(path.stat().st_size, []).append(path)
    pieces: dict[int, set[bytes]] = {}
    whole: dict[int, dict[bytes, list[Path]]] = {}
    for path in among:
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            if size not in sizes:
                continue
            if size not in pieces:
                pieces[size] = {_piece(one, size) for one in sizes[size]}
            if _piece(path, size) not in pieces[size]:
                continue
            if size not in whole:
                whole[size] = {}
                for one in sizes[size]:
                    whole[size].setdefault(_digest(one), []).append(one)
            for one in whole[size].get(_digest(path), ()):
                yield one, path


def _called(split: Split, row: int) -> tuple[str, int]:
    name = split.names[row]
    return name[name.rfind(os.sep) + 1 :], int(split.labels[row])


def _path(split: Split, row: int) -> Path:
    return split.images.path(int(split.images.numbers[row]))


def _piece(path: Path, size: int) -> bytes:
    """Of its middle: many formats begin, and drawings end, alike."""
    with open(path, "rb") as file:
        file.seek(max(0, (size - PIECE) // 2))
        return file.read(PIECE)


def _digest(path: Path) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
