"""What is in a folder of images, before any is decoded: ROOT/CLASS/…, ROOT/train/CLASS/… and the like, or a table."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from purecnn.data.file_kinds import SIGNATURES, kind_of, reason_of
from purecnn.data.file_tree import has_control_signs, readable_name, subfolders, walk
from purecnn.data.guards import Refused, naming
from purecnn.data.holdout import TEST, TEST_SHARE, TRAIN, VAL, VAL_SHARE, divided, percent
from purecnn.data.labels import read_labels
from purecnn.data.layout import split_folders

SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"}


@dataclass(frozen=True)
class Listing:
    """The files of a folder before any is decoded: the label and the split (TRAIN, VAL, TEST) of each, and its name.

    `paths` are strings, because a Path takes five times the memory. A name is the path below the folder of the classes;
    it decides which images are held out. `strange` has one complaint for each file that is not an image; such files are
    in none of the other fields. `notes` say what was held out.
    """

    classes: tuple[str, ...]
    paths: list[str]
    names: list[str]
    labels: np.ndarray
    part: np.ndarray
    strange: list[str]
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        return [Path(path) for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def only(self, chosen: np.ndarray) -> Listing:
        """The files of these numbers, in this order."""
        paths, names = ([each[n] for n in chosen] for each in (self.paths, self.names))
        return dataclasses.replace(self, paths=paths, names=names, labels=self.labels[chosen], part=self.part[chosen])


def list_folder(root: Path, val_share: float = VAL_SHARE, labels: Path | None = None) -> Listing:
    """What is in `root`, without opening files whose names are those of images.

    With folders of all three splits nothing is held out. Of two, the second is the test set, whichever it is called,
    and a share of train validates. Of train alone, of classes, or of a table of labels, both are held out by the files'
    names. Raises ValueError where it is laid out otherwise.
    """
    if not root.is_dir():
        raise Refused(f"{root}: there is no such folder; --data-dir says where the images are")
    found = {} if labels is not None else split_folders(root, subfolders(root))
    train = root / found.get("train", "")
    listing = _files(train) if labels is None else _labelled(root, labels)
    where = f" of {found['train']}" if found else ""
    second = found.get("test", found.get("val"))
    lonely = np.flatnonzero(np.bincount(listing.labels, minlength=len(listing.classes)) == 1)
    if second is None and len(lonely):
        raise Refused(f"{train / listing.classes[lonely[0]]}: got one image, expected at least 2, one to test with")
    share = 0.0 if len(found) == 3 else val_share
    part = divided(listing.names, listing.labels, val_share=share, test=second is None)
    held = [f"{percent(TEST_SHARE)} to test with"] * (second is None) + [f"{percent(val_share)} to validate"] * bool(
        val_share and len(found) < 3
    )
    notes = [f"held out of every class{where}, by file name: {' and '.join(held)}"] if held else []
    if len(found) == 2 and second == found.get("val"):
        notes.insert(0, f"of the two folders, {second} is the one to test with")
    listing = dataclasses.replace(listing, part=part, notes=tuple(notes))
    for split, code in (("val", VAL if "test" in found else TEST), ("test", TEST)):
        if split in found:
            listing = _joined(listing, _files(root / found[split], listing.classes), code)
    return listing


def may_be_image(path: Path) -> bool:
    """Judged by its suffix, or else by its first bytes; a file that cannot be opened is not an image."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        return kind_of(path) in SIGNATURES
    except OSError:
        return False


def _files(root: Path, known: tuple[str, ...] | None = None) -> Listing:
    """All of `root` as training images; `known` are the allowed classes, some of which may be missing."""
    folders: dict[str, list[str]] = {}
    for folder in subfolders(root):
        folders.setdefault(readable_name(folder), []).append(folder)
    classes = tuple(sorted(folders)) if known is None else known
    if len(classes) < 2:
        got = "1 folder" if len(classes) == 1 else f"{len(classes)} folders"
        raise Refused(f"{root}: got {got}, expected one for every class, at least 2{_hint(root)}")
    paths, names, labels, strange = [], [], [], []
    for name in sorted(folders):
        if name not in classes:
            raise Refused(f"{root}: class {name} is only in {root.name}, expected the classes of the training images")
        if has_control_signs(name):
            raise Refused(f"{root / name}: expected a class name without control characters")
        inside = [path for folder in folders[name] for path in walk(root / folder)]
        good = [path for path in inside if may_be_image(path)]
        if not good and known is None:
            raise Refused(f"{root / name}: got no images, expected at least one in the folder of a class")
        strange += [_complaint(path) for path in sorted(set(inside) - set(good))]
        inside = [str(path) for path in good]
        paths += inside
        names += [readable_name(path[len(str(root)) :].replace(os.sep, "/").lstrip("/")) for path in inside]
        labels += [classes.index(name)] * len(good)
    if not paths:
        raise Refused(f"{root}: got no images, expected some of the classes")
    return Listing(classes, paths, names, np.array(labels, np.int32), np.full(len(paths), TRAIN), strange)


def _hint(root: Path) -> str:
    """What was meant, if that is clear: a folder below, or images without folders."""
    inside = subfolders(root)
    if len(inside) == 1 and len(subfolders(root / inside[0])) > 1:
        return f"; did you mean {root / inside[0]}?"
    loose = not inside and any(path.suffix.lower() in SUFFIXES for path in walk(root))
    return "; --labels names a table of images that lie in no folders" if loose else ""


def _labelled(root: Path, table: Path) -> Listing:
    """The files that a table of labels names, as training images."""
    found = read_labels(table, root)
    classes = tuple(sorted(set(found.values())))
    if len(classes) < 2:
        raise Refused(f"{table}: got {len(classes)} classes, expected at least 2")
    paths = [str(root / name) for name in found]
    labels = np.array([classes.index(label) for label in found.values()], np.int32)
    return Listing(classes, paths, [readable_name(name) for name in found], labels, np.full(len(paths), TRAIN), [])


def _complaint(path: Path) -> str:
    with naming(path):
        what = reason_of(path) if path.is_file() else "is not a regular file" if path.exists() else "is a dead link"
    return f"{path}: {what}"


def _joined(listing: Listing, more: Listing, code: int) -> Listing:
    """Both listings in one, the second with the split `code`."""
    return dataclasses.replace(
        listing,
        paths=listing.paths + more.paths,
        names=listing.names + more.names,
        labels=np.concatenate([listing.labels, more.labels]),
        part=np.concatenate([listing.part, np.full(len(more), code)]),
        strange=listing.strange + more.strange,
    )
