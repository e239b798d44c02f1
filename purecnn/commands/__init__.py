"""The subcommands of `purecnn`, one file each: a frozen dataclass of its options, and `run(command)` -> exit code."""

from __future__ import annotations

import errno
import sys
from typing import TypeGuard

from purecnn.data.guards import printable


def complain(error: object, code: int) -> int:
    """One line on stderr, and the exit code: 1 a run failed, 2 wrong arguments."""
    if isinstance(error, BrokenPipeError) or is_unnamed_full_disk(error):  # purecnn.cli ends the command
        raise error
    print(f"purecnn: {in_words(error)}", file=sys.stderr)
    return code


def in_words(error: object) -> str:
    """Of what the operating system refused, the file and the reason: Python begins with [Errno 13]."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{printable(str(error.filename)).removesuffix('.partial')}: {error.strerror}"
    return str(error)


def is_unnamed_full_disk(error: object) -> TypeGuard[OSError]:
    """Whether it comes from a print: whoever writes a file names it."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error, OSError) and error.filename is None and error.errno in full
