"""The files below a folder, and what a folder is called: links followed, litter of operating systems passed over."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from purecnn.data.guards import naming

# What Finder, Windows and network disks leave beside one's own files, in lower case.
LITTER = frozenset({
    "thumbs.db", "desktop.ini", "icon\r",
    "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found",
})  # fmt: skip


def is_litter(name: str) -> bool:
    """Whether a file or folder is hidden, or an operating system's own."""
    return name.startswith(".") or name.lower() in LITTER


def has_control_signs(name: str) -> bool:
    """Whether it has what no terminal should be sent, or what no file system takes."""
    return any(unicodedata.category(sign) == "Cc" for sign in name)


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, and of links to folders, in order, without litter."""
    with naming(folder), os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not is_litter(entry.name))


def walk(folder: Path) -> list[Path]:
    """Every file in `folder` and in the folders below, in order, without litter; a dead link is one too.

    A folder that is reached by several ways is entered once, and a link to one above `folder` not at all: what lies
    beside `folder` is not in it.
    """
    found: list[Path] = []
    above = {*Path(os.path.abspath(folder)).parents, *folder.resolve().parents}
    entered = {(status.st_dev, status.st_ino) for status in map(os.stat, above)}

    def enter(place: Path) -> None:
        with naming(place):
            status = place.stat()
            if (status.st_dev, status.st_ino) in entered:
                return
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                inside = sorted((entry.name, entry.is_dir()) for entry in entries if not is_litter(entry.name))
        for name, is_folder in inside:
            if is_folder:
                enter(place / name)
            else:
                found.append(place / name)

    enter(folder)
    return found


def readable_name(name: str) -> str:
    """As Unicode in its composed form (NFC), for Apple's disks decompose; bytes that are none are written out."""
    if name.isascii():
        return name
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)
