"""Errors in code that is neither purecnn's nor a library's: a user's own net, whose own line is what helps."""

from __future__ import annotations

import difflib
import os
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import CodeType
from typing import Any

import purecnn

NOT_OWN = tuple(
    os.path.realpath(folder) + os.sep
    for folder in (
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib", "scripts")),
        Path(purecnn.__file__).parent,
    )
)


def model_hint(model: str, known: Sequence[str]) -> str:
    """What may be meant by a name that is neither a known model nor MODULE:FUNCTION, at the end of an error."""
    module, _, function = model.rpartition(".")
    file, _, name = model.partition(":")
    if name and Path(file).suffix == ".py" and Path(file).stem.isidentifier():
        return f"; where {Path(file).name} lies, it is {Path(file).stem}:{name}"
    if name:
        return f"; {file} is no name that Python imports" if not all(map(str.isidentifier, file.split("."))) else ""
    if not module and Path(f"{model}.py").is_file():
        return f"; did you mean {model}:FUNCTION?"
    if module and function == "py":
        meant = f"{Path(model).stem}:FUNCTION"
    elif module:
        meant = f"{module}:{function}"
    else:
        meant = "".join(difflib.get_close_matches(model.lower(), known, n=1))
    return f"; did you mean {meant}?" if meant else ""


def place_in_own_code(error: BaseException) -> str | None:
    """FILE:LINE of the innermost frame in code of the user's own, from the working directory on; None without one."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return _place(error.filename, error.lineno)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    return _place(own[-1].filename, own[-1].lineno or 0) if own else None


def in_one_line(error: BaseException) -> str:
    """The error in one line, with its place in the user's own code if it has one."""
    words = " ".join(str(error).split())
    place = place_in_own_code(error)
    text = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return f"{text} ({place})" if place else text


def place_of_code(code: CodeType) -> str:
    """FILE:LINE where a function begins."""
    return _place(code.co_filename, code.co_firstlineno)


def _is_own(file: str) -> bool:
    whole = os.path.realpath(file)
    return os.path.isfile(whole) and whole != os.path.realpath(sys.argv[0]) and not whole.startswith(NOT_OWN)


def _place(file: str, line: int) -> str:
    return f"{near(file)}:{line}"


def near(file: str) -> str:
    """The path of a file from the working directory on, if it is below that."""
    path = os.path.relpath(file)
    return file if path.startswith(os.pardir) else path


LIBRARIES = ("torch", "keras", "tensorflow", "flax", "equinox", "haiku")


def of_library(net: Any) -> str:
    """What to do with a net of another library, or a class of such, at the end of an error; "" for all else."""
    bases = {base.__module__.split(".")[0] for base in (net if isinstance(net, type) else type(net)).__mro__}
    library = next((name for name in LIBRARIES if name in bases), "")
    what = (
        "is made anew of the layers of purecnn.nn; purecnn import-weights takes the weights of torchvision's and timm's"
    )
    return f"; a net of {library} {what}" if library else ""
