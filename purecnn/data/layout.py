"""Which folders of a folder of images are its splits: train, val and test, by any of their usual names."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path

from purecnn.data.dataset import SplitName
from purecnn.data.file_kinds import NO_IMAGE, SUFFIXES, reason_of
from purecnn.data.file_tree import files_in, inside, readable_name, subfolders, walk
from purecnn.data.guards import Refused
from purecnn.data.holdout import first_few

NAMES: dict[str, SplitName] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
PART = r"train(ing)?|val(id|idation)?|test(ing)?|dev|eval|holdout|pred(iction)?|extra|unlabell?ed"
LIKE_A_SPLIT = re.compile(rf"({PART})(set|data|images?|imgs?|[ab])?")
"""A word of a folder's name: of seg_train, test1, val2017, train_images, and the trainA of image translation."""
IMAGES = {"image", "images", "img", "imgs", "jpegimages", "input", "inputs"}
BESIDE_IMAGES = {
    "label", "labels", "annotation", "annotations", "mask", "masks", "gt", "groundtruth", "ground_truth", "bboxes",
    "imagesets", "segmentation", "segmentationclass", "segmentationobject", "target", "targets",
}  # fmt: skip
NO_CLASSES = "a set for detection or segmentation has no folders of classes"
SHARDS = {
    ".tfrecord": "TFRecord", ".parquet": "Parquet", ".arrow": "Arrow", ".mdb": "LMDB", ".lmdb": "LMDB",
    ".beton": "FFCV", ".h5": "HDF5", ".hdf5": "HDF5", ".rec": "RecordIO", ".npz": "npz", ".npy": "npy",
    ".pt": "PyTorch's format", ".pth": "PyTorch's format", ".pkl": "pickle", ".mat": "MATLAB's format",
    ".msgpack": "msgpack", ".nii": "NIfTI", ".nii.gz": "NIfTI", ".mha": "MetaImage", ".nrrd": "NRRD", ".dcm": "DICOM",
}  # fmt: skip
PUBLISHED = {
    "idx3-ubyte": "mnist (or fashion-mnist)", "idx1-ubyte": "mnist (or fashion-mnist)",
    "cifar-10-": "cifar10", "cifar-100-": "cifar100", "data_batch_": "cifar10",
}  # fmt: skip
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"}
SHOWN = 5
DEEP = 8  # levels of nested folders that are searched for those of the classes
BESIDE = {".txt", ".md", ".json", ".csv", ".xmp", ".yaml", ".xml"}  # text that lies beside the folders of classes


def split_folders(root: Path, names: Sequence[str], *, train: bool = True) -> dict[SplitName, str]:
    """{split: folder} of those of these `names` in `root`, in any case; {} if they are classes.

    A folder with other files than text in it is a class, whatever it is called: cars, planes and trains have one called
    `train`. Raises ValueError where two folders are one split, for splits without train unless this is False, for
    a lonely split beside classes, and where all names are like those of splits.
    """
    found: dict[SplitName, str] = {}
    with_files: list[str] = []
    for name in names:
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
        _require_classes(root, names)
        return {}
    one, *_ = found.values()
    if train and "train" not in found:
        for name in with_files:
            if NAMES[name.casefold()] == "train" and len(subfolders(root / name)) > 1:
                raise Refused(f"{root / name}: got images beside the folders of classes, expected each in one of them")
        got = " and ".join(found.values())
        raise Refused(f"{root}: got only {got}, expected train beside them, or a folder for every class")
    if with_files:
        without = f"; --data-dir {root / found['train']} leaves them out" if "train" in found else ""
        without = without if len(found) == 1 else "; moved elsewhere, purecnn predict takes them"
        raise Refused(
            f"{root / with_files[0]}: got images beside {one} that are in no folder of a class, "
            f"expected one for every class{without}"
        )
    others = sorted(set(names) - set(found.values()))
    if len(found) == 1 and others:
        shown = ", ".join(others[:SHOWN])
        raise Refused(
            f"{root}: got {one} beside {shown}; expected train, with or without val and test, "
            f"or a folder for every class; --data-dir {root / one} takes {one} alone"
        )
    return found


def _require_classes(root: Path, names: Sequence[str]) -> None:
    like = {name: any(map(LIKE_A_SPLIT.fullmatch, re.findall("[a-z]+", name.casefold()))) for name in names}
    if len(names) > 1 and all(like.values()) and any("train" in name.casefold() for name in names):
        train = next(name for name in names if "train" in name.casefold())
        alone = f"; --data-dir {root / train} takes it alone" if len(subfolders(root / train)) > 1 else ""
        raise Refused(
            f"{root}: got {', '.join(names[:SHOWN])}, which look like splits; "
            f"expected train, with or without val and test, each with a folder for every class{alone}"
        )


def require_some_class(folder: Path, classes: tuple[str, ...], train: Path) -> None:
    """Raises ValueError for a split of which no folder is called like a class of the `train` folder."""
    if not {readable_name(name) for name in subfolders(folder)} & set(classes):
        like = next(filter(None, (like_hint(name, classes) for name in subfolders(folder))), "")
        raise Refused(
            f"{folder}: got no folder of a class, expected some of those of the training images, {first_few(classes)}"
            + (like or f"; --data-dir {train} leaves it out")
        )


def like_hint(name: str, classes: Sequence[str]) -> str:
    """The class that is called so but for upper and lower case, at the end of an error; "" where there is none."""
    meant = next((one for one in classes if one.casefold() == name.casefold()), "")
    return f"; {name} and {meant} are two names" if meant else ""


def warn_of_inner_folders(root: Path, names: Sequence[str]) -> None:
    """Of folders of classes that have folders train and val in them, or all the same folders, as folds have."""
    first, *others = sorted(names)
    inner = subfolders(root / first)
    below = {NAMES[name.casefold()] for name in inner if name.casefold() in NAMES}
    if len(below) > 1:
        both = " and ".join(sorted(below))
        message = f"{root / first}: its folders {both} are taken as one, expected {root / 'train' / first} and the like"
        warnings.warn(message, stacklevel=4)
    elif len(inner) > 1 and all(subfolders(root / other) == inner for other in others):
        same = ", ".join(inner[:SHOWN])
        message = f"{root}: every folder has {same} in it; {first} and {others[0]} are taken as classes, not these"
        warnings.warn(message, stacklevel=4)


def require_no_masks(root: Path, names: Sequence[str]) -> None:
    """Raise ValueError for a folder of images beside one of masks or labels, which would be two classes."""
    folded = [name.casefold() for name in names]
    beside = [name for name, fold in zip(names, folded, strict=True) if fold in BESIDE_IMAGES]
    if beside and IMAGES & {*folded} and {*folded} <= IMAGES | BESIDE_IMAGES:
        raise Refused(f"{root}: got {', '.join(names)}, expected a folder for every class; {NO_CLASSES}")


def kind_hint(path: Path) -> str:
    """Of a file that other tools read images from, what is to be done instead; "" for one of another kind."""
    name = path.name.lower()
    if path.suffix.lower() in (".csv", ".tsv"):
        return f"; --labels {path} takes a table, --data-dir the folder of its images"
    published = next((kind for part, kind in PUBLISHED.items() if part in name), "")
    if published:
        return f"; --data {published} reads {path.name}"
    kind = next((kind for suffix, kind in SHARDS.items() if name.endswith(suffix) or f"{suffix}-" in name), "")
    if kind == "npz":
        return f"; --data npz --data-dir {path} reads one file of arrays"
    if kind:
        return (
            f"; {kind} is not read, such as {path.name}: purecnn.train.fit takes batches of what a program reads of it"
        )
    return f"; unpack the archive {path.name}" if path.suffix.lower() in ARCHIVES else ""


def without_images(root: Path, name: str) -> str:
    """What to do about a folder among those of classes that has no images."""
    if (root / name).resolve() in root.resolve().parents or (root / name).resolve() == root.resolve():
        return "; it is a link to a folder above, remove it"
    names = subfolders(root)
    inner = [one for one in names if len(subfolders(root / one)) > 1]
    if len(inner) == 1:
        return f"; did you mean --data-dir {root / inner[0]}?"
    if name.casefold() in BESIDE_IMAGES:
        return f"; {NO_CLASSES}"
    files = walk(root / name, {})
    kind = next(filter(None, map(kind_hint, files[:SHOWN])), "")
    if files and not kind and (reason := reason_of(files[0])) != NO_IMAGE:
        kind = f"; {files[0].name} {reason}"
    return kind or "; remove it if it is none"


def place_hint(root: Path) -> str:
    """What was meant, if that is clear: a folder below, or images without folders of their classes."""
    place, names = root, subfolders(root)
    while len(names) == 1 and len(place.parts) < len(root.parts) + DEEP:  # a link may lead in a circle
        place /= names[0]
        names = subfolders(place)
    if len(names) > 1:
        return f"; did you mean {place}?" if place != root else ""
    files = [] if names else walk(place, {})
    if place == root and files and (whole := _of_classes(root.parent)):
        return f"; did you mean {whole}, of which {root.name} is one class?"
    if any(path.suffix.lower() in SUFFIXES for path in files):
        table = next((str(path) for path in files if path.suffix.lower() in (".csv", ".tsv")), "")
        one = f"; {place.name} alone has images: add a folder for another class, or" if place != root else ";"
        named = f"--labels {table} may be" if table else "--labels names"
        return f"{one} {named} a table of images that lie in no folders of their classes; purecnn predict needs none"
    return next(filter(None, map(kind_hint, files)), "")


def _of_classes(folder: Path) -> Path | None:
    """It, where all folders in it have images, as those of classes have."""
    names = subfolders(folder)
    have = (any(path.suffix.lower() in SUFFIXES for path in files_in(folder / name)) for name in names)
    return folder if len(names) > 1 and all(have) else None


def missing_hint(path: Path) -> str:
    """Of a folder that is not there the one that may be meant: without quotes and patterns, or called much like it."""
    plain = Path(re.sub(r"\\(.)", r"\1", str(path)).strip(" '\""))
    pattern = next((place for place in path.parents if re.search(r"[*?]", str(path)) and "*" not in str(place)), path)
    beside = subfolders(path.parent) if path.parent.is_dir() else []
    near = [path.parent / name for name in difflib.get_close_matches(path.name, beside, n=1)]
    meant = next((place for place in (plain, pattern, *near) if place.is_dir() and place != Path()), None)
    return "" if meant is None else f"; did you mean --data-dir {shlex.quote(str(meant))}?"


def _has_files(folder: Path) -> bool:
    files = (name for name, is_folder in inside(folder) if not is_folder and Path(name).suffix.lower() not in BESIDE)
    return any(os.path.isfile(folder / name) for name in files)
