"""The subcommands of `purecnn`, one file each: a frozen dataclass of its options, and `run(command)` -> exit code."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TypeGuard, get_args

from purecnn.data.guards import NO_ROOM, printable

OF_IMAGES = {"--data-dir", "--data", "--images", "--image", "--input", "--source"}
OF_PATHS = {"--data-dir", "--labels", "--run-dir", "--init-weights", "--out", "--config"}


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
    """Of what the operating system refused, the file and the reason: Python begins with [Errno 13].

    It names no file where the working folder itself has been removed.
    """
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{printable(str(error.filename)).removesuffix('.partial')}: {error.strerror}"
    if isinstance(error, FileNotFoundError) and error.filename is None and error.errno is not None:
        return "the working folder is there no longer; cd to another one"
    return str(error)


def is_of_output(error: object) -> TypeGuard[OSError]:
    """Whether it is of a print: a closed pipe, or a full disk without a name, as whoever writes a file names it."""
    unnamed = isinstance(error, OSError) and error.filename is None and error.errno in NO_ROOM
    return unnamed or isinstance(error, BrokenPipeError)


def refuse_misplaced(name: str, words: Sequence[str]) -> None:
    """Raise ValueError where images are named in a way that the subcommand `name` does not know, but another does."""
    if name == "predict" and (options := sorted(OF_IMAGES & {word.partition("=")[0] for word in words})):
        raise ValueError(f"images: got {options[0]}, expected files or folders behind RUN, without an option")
    if name == "eval" and len(words) > 1 and _is_path(words[0]) and _is_path(words[1]):
        raise ValueError(f"data: got {words[1]} behind RUN, expected --data folder --data-dir {shlex.quote(words[1])}")
    if name in ("export", "report") and len(words) > 1 and _is_path(words[0]) and not words[1].startswith("-"):
        raise ValueError(f"out: got {words[1]} behind RUN, expected --out {shlex.quote(words[1])}")
    for option, value, after in zip(words, words[1:], [*words[2:], ""], strict=False):
        size = f"{value} {after}" if after.isdigit() else value
        if option in ("--image-size", "--image_size") and re.fullmatch(r"\d+[^\d.]+\d+", size):
            raise ValueError(f"image_size: got {size}, expected one number, both height and width")
    if name in ("train", "data"):  # of others something else may stand behind a path
        _refuse_parts_of_a_path(words)
    first = {"train": 0, "data": 1}.get(name, len(words))  # the position at which a bare word means nothing
    bare = list(words[first : first + 1] if words[:first] in ([], ["show"]) else [])
    given = [word.partition("=")[2] for word in words if word.startswith("--data=")]
    for at, word in enumerate(words):
        if word == "--data":
            given += words[at + 1 : at + 2]
            bare += words[at + 2 : at + 3]
    paths = [word for word in given if _is_path(word) or re.search(r"[/\\]", word)]
    for path in [*paths, *(word for word in bare if _is_path(word) or "://" in word)]:
        from purecnn.data.readers import DATA_NAMES

        if path not in DATA_NAMES or path in bare:
            from purecnn.commands.hints import what_a_path_is

            raise ValueError(f"data: got a path, expected {what_a_path_is(path)}")
    for word in bare:
        from purecnn.data.readers import DATA_NAMES
        from purecnn.train.config import Model

        kind = "data" if word in DATA_NAMES else "model" if word in get_args(Model) else ""
        if kind:
            raise ValueError(f"{kind}: got {word} without an option, expected --{kind} {word}")


def _refuse_parts_of_a_path(words: Sequence[str]) -> None:
    """Raise ValueError for a path with spaces that the shell has divided, and where a pattern became many paths."""
    for at, option in enumerate(words):
        behind = list(itertools.takewhile(lambda word: not word.startswith("-"), words[at + 1 :]))
        if option.replace("_", "-") not in OF_PATHS or len(behind) < 2:
            continue
        name = option[2:].replace("-", "_")
        if _is_path(" ".join(behind)):
            whole = shlex.quote(" ".join(behind))
            raise ValueError(f"{name}: got {len(behind)} words, expected one: {option} {whole}")
        if all(map(_is_path, behind)):
            one = os.path.relpath(os.path.commonpath([os.path.abspath(path) for path in behind]))
            raise ValueError(f"{name}: got {len(behind)} paths, expected one: {option} {shlex.quote(one)} has all")


def _is_path(word: str) -> bool:
    """Whether it is a file or a folder, and no option."""
    return word != "" and not word.startswith("-") and Path(word).exists()
