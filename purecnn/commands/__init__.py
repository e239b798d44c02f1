"""The subcommands of `purecnn`, one file each: a frozen dataclass of its options, and `run(command)` -> exit code."""

from __future__ import annotations

import errno
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeGuard

from purecnn.data.guards import printable


def complain(error: object, code: int) -> int:
    """One line on stderr, and the exit code: 1 a run failed, 2 wrong arguments."""
    if is_of_output(error):  # purecnn.cli ends the command
        raise error
    print(f"purecnn: {in_words(error)}", file=sys.stderr)
    return code


@contextmanager
def for_json(wanted: bool) -> Iterator[Any]:
    """The stream to print JSON to. Inside, if it is `wanted`, what a user's own net prints goes to stderr."""
    out = sys.stdout
    with redirect_stdout(sys.stderr if wanted else out):
        yield out


def in_words(error: object) -> str:
    """Of what the operating system refused, the file and the reason: Python begins with [Errno 13]."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{printable(str(error.filename)).removesuffix('.partial')}: {error.strerror}"
    return str(error)


def is_of_output(error: object) -> TypeGuard[OSError]:
    """Whether it is of a print: a closed pipe, or a full disk without a name, as whoever writes a file names it."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    unnamed = isinstance(error, OSError) and error.filename is None and error.errno in full
    return unnamed or isinstance(error, BrokenPipeError)


def refuse_path_as_data(name: str, words: Sequence[str]) -> None:
    """Raise ValueError where a file or folder of images is named as `--data`, which is their kind, or as no option."""
    first = {"train": 0, "data": 1}.get(name, len(words))  # the position at which a bare word means nothing
    bare = words[first] if first < len(words) and words[:first] in ([], ["show"]) else ""
    given = [bare, *(word.partition("=")[2] for word in words if word.startswith("--data="))]
    given += [value for option, value in pairwise(words) if option == "--data"]
    for path in given:
        if path and not path.startswith("-") and Path(path).exists():
            from purecnn.data.readers import DATA_NAMES

            kind = "folder" if Path(path).is_dir() else "npz"
            if path not in DATA_NAMES or path == bare:
                message = f"data: got a path, expected its kind: --data {kind} --data-dir {shlex.quote(path)}"
                raise ValueError(message)
