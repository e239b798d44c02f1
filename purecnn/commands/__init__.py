"""The subcommands of `purecnn`, one file each: a frozen dataclass of its options, and `run(command)` -> exit code."""

from __future__ import annotations

import sys

from purecnn.data.guards import printable


def complain(error: object, code: int) -> int:
    """One line on stderr, and the exit code: 1 a run failed, 2 wrong arguments."""
    if isinstance(error, BrokenPipeError):  # it has no reader left: purecnn.cli ends in silence
        raise error
    if isinstance(error, OSError) and error.filename is not None and error.strerror:  # Python begins with [Errno 13]
        error = f"{printable(str(error.filename))}: {error.strerror}"
    print(f"purecnn: {error}", file=sys.stderr)
    return code
