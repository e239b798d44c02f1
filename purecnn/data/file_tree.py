"""The files below a folder, and a folder's readable name. Links are followed; runs and systems' own files skipped."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from purecnn.data.guards import Refused, naming

# Files that Finder, Windows and network disks add to folders, in lower case.
LITTER = frozenset({
    "thumbs.db", "desktop.ini", "icon\r",
    "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found",
})  # fmt: skip
CONFIG = b"model: "  # the beginning of a run's config.yaml


def is_litter(name: str) -> bool:
    """Whether a file or folder is hidden, or an operating system's own."""
    return name.startswith(".") or name.lower() in LITTER


def has_control_signs(name: str) -> bool:
    """Whether it has characters that should not be sent to a terminal, or that file systems do not take."""
    return any(unicodedata.category(sign) == "Cc" for sign in name)


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, and of links to folders, in order, without litter."""
    return [name for name, is_folder in inside(folder) if is_folder]


def files_in(folder: Path) -> list[Path]:
    """The files in `folder` itself, in order, without litter."""
    return [folder / name for name, is_folder in inside(folder) if not is_folder]


def inside(folder: Path) -> list[tuple[str, bool]]:
    """What is in `folder`, in order, without litter and runs: names, and whether each is a folder, or a link to one."""
    with naming(folder), os.scandir(folder) as entries:
        found = sorted((entry.name, _is_folder(entry)) for entry in entries if not is_litter(entry.name))
    return [(name, is_folder) for name, is_folder in found if not (is_folder and holds_runs(folder / name))]


def holds_runs(folder: Path) -> bool:
    """Whether it is the folder of a run, or has only such folders in it, as the `runs` that `purecnn train` makes.

    Both may stand beside the classes, where the command is run in the folder of the images, and have pictures in them.
    """
    try:
        if _is_run(folder):
            return True
        with os.scandir(folder) as entries:
            are_runs = (_is_run(folder / entry.name) for entry in entries if not is_litter(entry.name))
            return next(are_runs, False) and all(are_runs)
    except OSError:  # whoever reads it says so
        return False


def _is_run(folder: Path) -> bool:
    """By its config, which begins with the model; a class may have a file that is called so."""
    try:
        with open(folder / "config.yaml", "rb") as file:
            return file.read(len(CONFIG)) == CONFIG
    except OSError:
        return False


def walk(folder: Path, faults: dict[Path, str] | None = None) -> list[Path]:
    """Every file in `folder` and in the folders below, in order, without litter and runs; a dead link is a file too.

    A folder that several links lead to is entered once. A link to a folder above `folder` is not followed: what is
    beside `folder` is not in it. A folder that cannot be read raises ValueError, or is left out and `faults`, if given,
    gets the reason.
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
        for name, is_folder in inside(place):
            if is_folder:
                enter_or_note(place / name)
            else:
                found.append(place / name)

    def enter_or_note(place: Path) -> None:
        try:
            enter(place)
        except Refused as fault:
            if faults is None:
                raise
            faults[place] = str(fault)

    enter_or_note(folder)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that may not be entered
        return False


def readable_name(name: str) -> str:
    """As composed Unicode (NFC), because Apple's disks decompose it; bytes that are not Unicode are escaped."""
    if name.isascii():
        return name
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)
