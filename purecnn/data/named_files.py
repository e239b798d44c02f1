"""The files that a table names: without their suffixes, in other letters than on the disk, or as others are called."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from purecnn.data.file_kinds import SUFFIXES
from purecnn.data.file_tree import readable_name
from purecnn.data.guards import Refused

T = TypeVar("T")


def as_on_disk(found: dict[str, T], root: Path) -> dict[str, T]:
    """`found` with the names that its files have in `root`, where those of a table are not there as they are.

    Then the only file that is called so counts, but for upper and lower case, Unicode's forms of a letter, and, of an
    image, its suffix: `7` or `7.JPG` for 7.jpg. Raises ValueError where several are.
    """
    missing = {file for file in found if not os.path.lexists(root / file)}
    folders = {os.path.dirname(file) for file in missing}  # each is listed once, not asked for every file
    listed = {name: _by_key(root / name) for name in folders}
    called: dict[str, str] = {}
    for file in missing:
        folder, name = os.path.split(file)
        names = listed[folder].get(_key(name), [])
        names = [one for one in names if name in (one, os.path.splitext(one)[0])] or names  # in the same case
        if len(names) > 1:
            there = " and ".join(os.path.join(folder, one) for one in names)
            raise Refused(f"{root / file}: there are {there}, expected one, or its suffix in the table")
        if names:
            called[file] = os.path.join(folder, names[0])
    lines: dict[str, T] = {}
    for file, line in found.items():
        name = called.get(file, file)
        if lines.setdefault(name, line) != line:
            raise Refused(f"{root / name}: got two lines of the table that name it, with two classes")
    return lines


def called_like(file: str, paths: Iterable[Path]) -> Path | None:
    """The first that is called so in another folder, but for zeros before it, or with more behind it: 7_small.png."""
    paths, wanted = list(paths), _key(os.path.basename(file)).lstrip("0")
    same = (path for path in paths if wanted in (_key(path.name).lstrip("0"), _key(path.stem).lstrip("0")))
    longer = (path for path in paths if path.suffix.lower() in SUFFIXES and path.name.startswith(Path(file).stem))
    return next(same, None) or next(longer, None)


def _key(name: str) -> str:
    return readable_name(name).casefold()


def _by_key(folder: Path) -> dict[str, list[str]]:
    """The names in it, by what they are called in lower case, and images also without their suffix."""
    found: dict[str, list[str]] = {}
    if not (os.path.isdir(folder) and os.access(folder, os.R_OK)):
        return found
    for name in sorted(os.listdir(folder)):
        stem, suffix = os.path.splitext(name)
        for key in {_key(name), *([_key(stem)] if suffix.lower() in SUFFIXES else ())}:
            found.setdefault(key, []).append(name)
    return found
