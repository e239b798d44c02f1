"""Which folders of a folder of images are its splits: train, val and test, by any of their usual names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from purecnn.data.dataset import SplitName
from purecnn.data.file_tree import inside
from purecnn.data.guards import Refused

NAMES: dict[str, SplitName] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
SHOWN = 5
BESIDE = {".txt", ".md", ".json", ".csv", ".xmp", ".yaml", ".xml"}  # text that lies beside the folders of classes


def split_folders(root: Path, subfolders: Sequence[str], *, train: bool = True) -> dict[SplitName, str]:
    """{split: folder} of those in `root`, in any case; {} if they are classes.

    A folder with other files than text in it is a class, whatever it is called: cars, planes and trains have one called
    `train`. Raises ValueError where two folders are one split, for splits without train unless this is False, and for
    a lonely split beside classes.
    """
    found: dict[SplitName, str] = {}
    with_files: list[str] = []
    for name in subfolders:
        split = NAMES.get(name.casefold())
        if split is None:
            continue
        if _has_files(root / name):
            with_files.append(name)
            continue
        if split in found:
            raise Refused(f"{root}: got {found[split]} and {name}, expected one folder of {split} images")
        found[split] = name
    if not found:
        return {}
    one, *_ = found.values()
    if train and "train" not in found:
        got = " and ".join(found.values())
        raise Refused(f"{root}: got only {got}, expected train beside them, or a folder for every class")
    if with_files:
        without = f"; --data-dir {root / found['train']} leaves them out" if "train" in found else ""
        raise Refused(
            f"{root / with_files[0]}: got images beside {one} that are in no folder of a class, "
            f"expected one for every class{without}"
        )
    others = sorted(set(subfolders) - set(found.values()))
    if len(found) == 1 and others:
        shown = ", ".join(others[:SHOWN])
        raise Refused(
            f"{root}: got {one} beside {shown}; expected train, with or without val and test, "
            f"or a folder for every class; --data-dir {root / one} takes {one} alone"
        )
    return found


def _has_files(folder: Path) -> bool:
    files = (name for name, is_folder in inside(folder) if not is_folder and Path(name).suffix.lower() not in BESIDE)
    return any(os.path.isfile(folder / name) for name in files)
