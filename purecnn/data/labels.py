"""A table of labels, as CSV: the columns `file`, a path from the folder of the images on, and `class`."""

from __future__ import annotations

import csv
from pathlib import Path, PurePath

from purecnn.data.file_tree import has_control_signs, readable_name
from purecnn.data.guards import Refused, naming, require_inside

COLUMNS = ("file", "class")


def read_labels(table: Path) -> dict[str, str]:
    """{file: class} in the order of the lines; other columns are passed over.

    Raises ValueError, naming the line, for a file that leads out of the folder or has two classes, and an empty cell.
    """
    found: dict[str, str] = {}
    with naming(table), open(table, newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
        rows = csv.DictReader(lines)
        head = [(name or "").strip() for name in rows.fieldnames or ()]
        if not set(COLUMNS) <= set(head):
            raise Refused(f"{table}: got the columns {', '.join(head) or 'none'}; expected file and class")
        rows.fieldnames = head
        for row in rows:
            file, label = ((row[name] or "").strip() for name in COLUMNS)
            where = f"{table}: line {rows.line_num}"
            if not file or not label or has_control_signs(file + label):
                raise Refused(f"{where}: got {file!r} and {label!r}, expected a file and its class")
            require_inside(table, file)
            file, label = str(PurePath(file)), readable_name(label)
            if found.setdefault(file, label) != label:
                raise Refused(f"{where}: {file} is {label}, and {found[file]} before")
    if not found:
        raise Refused(f"{table}: got no line, expected one for every image")
    return found
