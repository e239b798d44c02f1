"""A table of labels, as CSV: columns `file`, a path from the folder of the images on, `class`, and perhaps `split`."""

from __future__ import annotations

import csv
import os
import re
import warnings
from pathlib import Path, PurePath

from purecnn.data.dataset import SplitName
from purecnn.data.file_kinds import SUFFIXES, kind_of
from purecnn.data.file_tree import has_control_signs, readable_name
from purecnn.data.guards import Refused, naming, require_inside
from purecnn.data.layout import NAMES

FILE = (
    "file", "file_name", "filename", "path", "file_path", "filepath",
    "image", "image_name", "image_path", "image_id", "img", "id",
)  # fmt: skip
CLASS = ("class", "label", "labels", "class_name", "category", "target")
SPLIT = "split"
TRUTH = ("true", "false", "0", "1")
SAYS_SPLIT = {f"{before}{name}": TRUTH for before in ("is_", "") for name in NAMES}
SAYS_SPLIT |= dict.fromkeys(("fold", "folds", "kfold", "k_fold", "cv_fold"), tuple(map(str, range(100))))
"""Columns that say of every line whether it is of one split, as fastai's is_valid, or which part it is of."""
NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?"
GROUP = re.compile(r"(patient|subject|person|participant)(_?(id|no|nr|number|name))?|(group|case|study|scan)_id")
"""A column of what several images show."""
BETWEEN = r"[|,;+&/ ]+"  # several classes in one cell
MISSING = {"nan", "null", "n/a", "#n/a", "<na>"}  # what other programs write where there is nothing
BEYOND = "\0"  # where the cells are that no column has; no column is called so


def read_labels(table: Path, root: Path) -> dict[str, tuple[str, SplitName]]:
    """{file: (class, split)} in the order of the lines, files from `root`, the folder of the images, on.

    Text is UTF-8, UTF-16 or Windows' own. Commas, semicolons or tabs divide the columns, whose names are found in any
    case and order; others are passed over.
    Without a column `split` all are to train on. Files may be named by whole paths, and in Windows' spelling. Raises
    ValueError, naming the line, for a file that leads out of the folder or has two classes, and an empty cell.
    """
    if not table.exists() and (root / table).is_file():
        raise Refused(f"{table}: there is no such file; did you mean --labels {root / table}?")
    if table.is_dir():
        raise Refused(f"{table}: is a folder, expected a table of the images, as CSV")
    found: dict[str, tuple[str, SplitName]] = {}
    with naming(table), open(table, newline="", encoding=_encoding(table), errors="surrogateescape") as lines:
        first, begin, above = lines.readline(), 0, 0
        while first.lower().startswith("sep=") or (first and not first.strip()):  # which is for Excel alone, or nothing
            begin, above, first = lines.tell(), above + 1, lines.readline()
        lines.seek(begin)
        rows = csv.DictReader(lines, restkey=BEYOND, delimiter=max(",;\t", key=first.count), skipinitialspace=True)
        head = [re.sub(r"[ -]+", "_", (name or "").strip().lower()) for name in rows.fieldnames or ()]
        columns = [next((name for name in names if name in head), "") for names in (FILE, CLASS)]
        if not all(columns):
            kind = kind_of(table) or ("JSON" if first.lstrip().startswith(("{", "[")) else "")
            got = f"{kind}, not CSV" if kind else f"the columns {', '.join(head)[:60] or 'none'}"
            hint = _columns_hint(head, columns[0], columns[1], first)
            if kind:
                hint = "; unpack it" if "archive" in kind else "; save it as CSV"
            raise Refused(f"{table}: got {got}; expected file and class in the first line{hint}")
        for name in columns:
            if head.count(name) > 1:
                raise Refused(f"{table}: got the column {name} {head.count(name)} times, expected it once")
        if others := [name for name in CLASS if name in head and name != columns[1]]:
            warnings.warn(f"{table}: the column {others[0]} is passed over, {columns[1]} has the classes", stacklevel=3)
        rows.fieldnames = head
        splits = set() if SPLIT in head else {*head} - {*columns, ""}  # columns that only hold names of splits
        group, splits_of = next((name for name in head if GROUP.fullmatch(name)), ""), dict[str, dict[str, str]]()
        for row in rows:
            splits = {name for name in splits if (row[name] or "").strip().casefold() in SAYS_SPLIT.get(name, NAMES)}
            file, label = ((row[name] or "").strip() for name in columns)
            where = f"{table}: line {rows.line_num + above}"
            if "\n" in file + label:
                begins = (file if "\n" in file else label).split("\n")[0]
                raise Refused(
                    f"{where}: got a cell over many lines, from {begins!r} on, expected its quote to be closed"
                )
            if not file or not label or has_control_signs(file + label):
                plain = ", without control characters such as tabs" if file and label else ""
                raise Refused(f"{where}: got {file!r} and {label!r}, expected a file and its class{plain}")
            if any(row.get(BEYOND) or ()):
                hint = "a name with the delimiter in it is put in quotes"
                raise Refused(f"{where}: got {len(head) + len(row[BEYOND])} cells, expected {len(head)}; {hint}")
            split = (row[SPLIT] or "").strip() if SPLIT in head else "train"
            if split.casefold() not in NAMES:
                raise Refused(f"{where}: got the split {split!r}, expected train, val or test")
            file = _inside(table, root, file)
            line: tuple[str, SplitName] = (readable_name(_of_windows(label)), NAMES[split.casefold()])
            if group and row[group]:
                splits_of.setdefault(row[group].strip(), {})[file] = line[1]
            if found.setdefault(file, line) != line:
                now, before = (" of ".join(each) if SPLIT in head else each[0] for each in (line, found[file]))
                raise Refused(f"{where}: {file} has the class {now} here and {before} in an earlier line")
    if found and splits:
        name = min(splits)
        expected = "a column split of train, val and test" if name in SAYS_SPLIT else "it to be called split"
        warnings.warn(f"{table}: the column {name} is passed over, expected {expected}", stacklevel=3)
    _warn_of_groups(table, group, splits_of, divided=SPLIT in head)
    if not found:
        raise Refused(f"{table}: got no line, expected one for every image")
    _warn_of_no_classes(table, list(dict.fromkeys(label for label, _ in found.values())))
    return found


def _warn_of_groups(table: Path, group: str, splits_of: dict[str, dict[str, str]], *, divided: bool) -> None:
    """Of images of one patient, and the like, that are not kept together: `splits_of` each, {file: split}."""
    for one, files in splits_of.items():
        splits, which = {*files.values()}, f"images of {group} {one}"
        if divided and len(splits) > 1:
            what = f"{which} are in {' and '.join(sorted(splits))}: the accuracy says little of others"
        elif not divided and len(files) > 1:
            what = f"{which} may be trained on and tested with; a column split keeps those of one {group} together"
        else:
            continue
        warnings.warn(f"{table}: {what}", stacklevel=4)
        return


def _warn_of_no_classes(table: Path, labels: list[str]) -> None:
    """Of values to predict, several classes in one cell, and none: each is taken as a class of its own."""
    if nothing := next((label for label in labels if label.casefold() in MISSING), None):
        what = f"got the class {nothing}, as of an image without one; leave such lines out"
        warnings.warn(f"{table}: {what}", stacklevel=3)
    if all(re.fullmatch(NUMBER, label) for label in labels):
        value = next((label for label in labels if not float(label).is_integer()), None)
        if value is not None:
            what = "every number is a class of its own; values are not predicted"
            warnings.warn(f"{table}: got classes such as {value}, expected names: {what}", stacklevel=3)
    for label in labels:
        parts = [part.strip() for part in re.split(BETWEEN, label)]
        if re.fullmatch(r"[\[{(].*[',\"].*[\])}]", label) or (len(parts) > 1 and {*parts} < {*labels}):
            what = f"{label!r} is a class of its own; an image has one"
            warnings.warn(f"{table}: got several classes in a cell: {what}", stacklevel=3)
            return


def _columns_hint(head: list[str], file: str, label: str, first: str) -> str:
    """What to write there, at the end of an error: `file` and `label` are the columns that were found, or ""."""
    if len(head) == 1 and {*re.split(r"[| ]+", first.strip().lower())} & {*FILE, *CLASS}:
        return "; commas, semicolons or tabs divide the columns"
    if any(word.endswith(tuple(SUFFIXES)) for word in re.split(r"[\s,;|]+", first.lower())):
        between = "; commas, semicolons or tabs divide the columns" if len(head) == 1 else ""
        return f"; it is a line of its own, such as file,class{between}"
    if file and len(head) > 2:
        return f"; {file} is found, call that of the classes class; of a column for every class make one"
    if file or label:
        return f"; {file or label} is found, call the other one {'class' if file else 'file'}"
    return f"; files may be called {', '.join(FILE[:5])} too, and classes {', '.join(CLASS[1:])}"


def _encoding(table: Path) -> str:
    """UTF-8, with a mark or without; UTF-16, as Excel's Unicode text is, by its mark."""
    with open(table, "rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _of_windows(text: str) -> str:
    """What is no UTF-8 is as Excel writes CSV on a Windows of Western languages."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("cp1252", "backslashreplace")


def _inside(table: Path, root: Path, file: str) -> str:
    if not os.path.lexists(root / file):  # in one encoding on the disk, in another here
        file = _of_windows(file)
    if "\\" in file and not (root / file).exists():
        file = file.replace("\\", "/")
    path = PurePath(file)
    if path.is_absolute():
        here = PurePath(os.path.abspath(root))
        if not path.is_relative_to(here):
            raise Refused(f"{table}: {file!r} leads out of {root}, the folder of the images; expected paths from there")
        path = path.relative_to(here)
    require_inside(table, str(path))
    return str(path)
