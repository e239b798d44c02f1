"""What is in a folder of images, before any is decoded: ROOT/CLASS/…, ROOT/train/CLASS/… and the like, or a table."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from glob import escape
from pathlib import Path

import numpy as np

from purecnn.data.dataset import SPLIT_NAMES, SplitName
from purecnn.data.file_kinds import SUFFIXES, may_be_image, reason_of
from purecnn.data.file_tree import files_in, has_control_signs, readable_name, subfolders, walk
from purecnn.data.guards import Refused, naming
from purecnn.data.holdout import TEST, TEST_SHARE, TRAIN, VAL, VAL_SHARE, divided, first_few, percent
from purecnn.data.image_file import complain
from purecnn.data.labels import read_labels
from purecnn.data.layout import (
    BESIDE,
    NAMES,
    kind_hint,
    like_hint,
    missing_hint,
    place_hint,
    require_no_masks,
    require_some_class,
    split_folders,
    warn_of_inner_folders,
    without_images,
)
from purecnn.data.named_files import as_on_disk, called_like

HELD_OUT = "held out of every class"  # begins the note that says what was


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

    def files_at(self, chosen: np.ndarray) -> list[Path]:
        return [Path(self.paths[n]) for n in chosen]

    def __len__(self) -> int:
        return len(self.paths)

    def only(self, chosen: np.ndarray) -> Listing:
        """The files of these numbers, in this order."""
        paths, names = ([each[n] for n in chosen] for each in (self.paths, self.names))
        return dataclasses.replace(self, paths=paths, names=names, labels=self.labels[chosen], part=self.part[chosen])


def list_folder(
    root: Path, val_share: float = VAL_SHARE, labels: Path | None = None, known: tuple[str, ...] | None = None
) -> Listing:
    """What is in `root`, without opening files whose names are those of images.

    With all three splits, folders or those of a table of labels, nothing is held out. With two, the second is the test
    set, whatever its name, and a share of train is held out for validation. With train alone, or with classes, both are
    held out by the files' names. With `known`, the classes of a trained net, they may be some of these, of one image
    each, and train may be missing. Raises ValueError for any other layout.
    """
    if not root.is_dir():
        what, hint = "there is no such folder", missing_hint(root)
        if root.is_file():
            what, hint = "is a file", kind_hint(root)
        where = "" if "?" in hint or "--data-dir" in hint else "; --data-dir says in which folder the images are"
        raise Refused(f"{root}: {what}{hint}{where}")
    if labels is None:
        found = split_folders(root, subfolders(root), train=known is None)
        if found and "train" not in found:
            return _without_train({name: _files(root / folder, known) for name, folder in found.items()})
        train = root / found.get("train", "")
        parts: dict[SplitName, Listing] = {"train": _files(train, known)}
        loose = sum(path.suffix.lower() in SUFFIXES for path in files_in(train))
        if loose:
            note = f"{'1 image' if loose == 1 else f'{loose:,} images'} of {train} left out, in no folder of a class"
            parts["train"] = dataclasses.replace(parts["train"], notes=(note,))
        if found and (dead := [path for path in _dead_folders(root) if path.name.casefold() in NAMES]):
            complain([_complaint(path) for path in dead])
        for name in found.keys() - {"train"}:
            require_some_class(root / found[name], parts["train"].classes, train)
            parts[name] = _files(root / found[name], parts["train"].classes)
    else:
        parts, train = _labelled(root, labels, known), root
        if "train" not in parts:
            return _without_train(parts)
        found: dict[SplitName, str] = {name: name for name in parts} if len(parts) > 1 else {}
    listing = parts["train"]
    where = f" of {found['train']}" if found else ""
    second = found.get("test", found.get("val"))
    lonely = np.flatnonzero(np.bincount(listing.labels, minlength=len(listing.classes)) == 1)
    if second is None and len(lonely) and known is None:
        name = listing.classes[lonely[0]]
        place = train / name if labels is None else f"{labels}: class {name}"
        raise Refused(f"{place}: got one image, expected at least 2, one to test with")
    share = 0.0 if len(found) == 3 else val_share
    part = divided(listing.names, listing.labels, val_share=share, test=second is None)
    held = [f"{percent(TEST_SHARE)} to test with"] * (second is None) + [f"{percent(val_share)} to validate"] * bool(
        val_share and len(found) < 3
    )
    notes = [f"{HELD_OUT}{where}, by file name: {' and '.join(held)}"] if held else []
    if len(found) == 2 and second == found.get("val"):
        notes.insert(0, f"of the two {'folders' if labels is None else 'splits'}, {second} is the one to test with")
    listing = dataclasses.replace(listing, part=part, notes=(*listing.notes, *notes))
    if "val" in found:
        listing = _joined(listing, parts["val"], VAL if "test" in found else TEST)
    return _joined(listing, parts["test"], TEST) if "test" in found else listing


def _files(root: Path, known: tuple[str, ...] | None = None) -> Listing:
    """All of `root` as training images; `known` are the allowed classes, some of which may be missing."""
    folders: dict[str, list[str]] = {}
    for folder in subfolders(root):
        folders.setdefault(readable_name(folder), []).append(folder)
    classes = tuple(sorted(folders)) if known is None else known
    if len(classes) < 2:
        got = "1 folder" if len(classes) == 1 else f"{len(classes)} folders"
        raise Refused(f"{root}: got {got}, expected one for every class, at least 2{place_hint(root)}")
    if known is None:
        require_no_masks(root, classes)
        warn_of_inner_folders(root, [one for one, *_ in folders.values()])
    paths, names, labels, strange = [], [], [], [_complaint(path) for path in _dead_folders(root)]
    for name in sorted(folders):
        if name not in classes:
            raise Refused(f"{root}: class {name} {_not_among(name, classes)}")
        if has_control_signs(name):
            raise Refused(f"{root / name}: expected a class name without control characters")
        faults: dict[Path, str] = {}
        inside = [path for folder in folders[name] for path in walk(root / folder, faults)]
        good = [path for path in inside if may_be_image(path)]
        if not good and known is None:
            why = "".join(f"; {fault}" for fault in faults.values())
            what = "got no images, expected at least one in the folder of a class"
            raise Refused(f"{root / name}: {what}{why or without_images(root, name)}")
        strange += [*faults.values()]
        strange += [_complaint(path) for path in sorted(set(inside) - set(good))]
        inside = [str(path) for path in good]
        paths += inside
        names += [readable_name(path[len(str(root)) :].replace(os.sep, "/").lstrip("/")) for path in inside]
        labels += [classes.index(name)] * len(good)
    if not paths:
        hint = place_hint(root) or "; put some there, or remove it"
        raise Refused(f"{root}: got no folder of a class with images{hint}")
    return Listing(classes, paths, names, np.array(labels, np.int32), np.full(len(paths), TRAIN), strange)


def _dead_folders(root: Path) -> list[Path]:
    """Links to what is not there, that may have been folders, as of a disk that is not mounted: not files by name."""
    return [
        path for path in files_in(root) if path.suffix.lower() not in SUFFIXES | BESIDE and not os.path.exists(path)
    ]


def _not_among(name: str, classes: tuple[str, ...]) -> str:
    hint = like_hint(name, classes) or "; call it as one of them, leave it out, or add images of it to those"
    return f"is not among those of the training images: {first_few(classes)}{hint}"


def _labelled(root: Path, table: Path, known: tuple[str, ...] | None = None) -> dict[SplitName, Listing]:
    """The files that a table of labels names, by its splits; where it names none, as training images. See `_files`."""
    found = as_on_disk(read_labels(table, root), root)
    classes = known or tuple(sorted({label for label, split in found.values() if split == "train"}))
    if len(classes) < 2:
        got = f"only the class {classes[0]}" if classes else "no class"
        raise Refused(f"{table}: got {got} to train on, expected at least 2")
    for label, split in found.values():
        if label not in classes:
            where = f"is in {split} alone, expected some of it in train; leave its lines out, or train on some of them"
            raise Refused(f"{table}: class {label} {_not_among(label, known) if known else where}")
    if not any(os.path.lexists(root / file) for file in found):
        one = next(iter(found))
        below = [root / name for name in subfolders(root) if any((root / name).glob(f"{escape(one)}*"))]
        hint = f"; did you mean --data-dir {below[0]}?" if len(below) == 1 else ""
        if not hint and (deep := called_like(one, walk(root, {}))):
            hint = f", such as {deep.relative_to(root)}"
        raise Refused(
            f"{table}: got {one} and others, of which there is none in {root}; expected their paths from there{hint}"
        )
    parts: dict[SplitName, Listing] = {}
    for name in SPLIT_NAMES:
        files = {file: label for file, (label, split) in found.items() if split == name}
        if not files:
            continue
        paths, labels = [str(root / file) for file in files], [classes.index(label) for label in files.values()]
        names, part = [readable_name(file) for file in files], np.full(len(paths), TRAIN)
        parts[name] = Listing(classes, paths, names, np.array(labels, np.int32), part, [])
    images = (path for path in walk(root, {}) if path.suffix.lower() in SUFFIXES)
    beside = sum(str(path.relative_to(root)) not in found for path in images)
    if beside:
        what = "1 image of {} is" if beside == 1 else f"{beside:,} images of {{}} are"
        note = f"{what.format(root)} not in {table} and left out"
        first = next(iter(parts))
        parts[first] = dataclasses.replace(parts[first], notes=(note,))
    return parts


def _complaint(path: Path) -> str:
    try:
        with naming(path):
            what = reason_of(path) if path.is_file() else "is not a regular file" if path.exists() else "is a dead link"
    except Refused as fault:
        return str(fault)
    return f"{path}: {what}"


def _without_train(parts: dict[SplitName, Listing]) -> Listing:
    one, *_ = parts.values()
    listing = dataclasses.replace(one.only(np.zeros(0, int)), strange=[])
    for name, part in parts.items():
        listing = _joined(listing, part, {"val": VAL, "test": TEST}[name])
    return listing


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
