"""XLA's log without messages that are not errors, about cached programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# XLA logs as an error, for every program that it loads, that these hints to its compiler are no features of the host
# (openxla/xla issue 44565). TF_CPP_MIN_LOG_LEVEL=3 would hide every other error too, such as a collective that hangs.
HINTS = ("+prefer-no-gather", "+prefer-no-scatter")
FILTER = f"""
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
rest = b""
while data := os.read(0, 65536):
    *lines, rest = (rest + data).split(b"\\n")
    for line in lines:
        if not any(b"Target machine feature " + hint in line for hint in {[hint.encode() for hint in HINTS]}):
            os.write(2, line + b"\\n")
os.write(2, rest)
"""


@contextmanager
def without_hints() -> Iterator[None]:
    """Inside, what C++ writes to stderr goes through a process that leaves out the lines about HINTS.

    A process of its own: if this one crashes, its last words are still passed on. Python's own stderr is not touched.
    """
    try:
        redirected = os.name == "posix" and sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # in a test, or a notebook
        redirected = False
    if not redirected:
        yield
        return
    terminal, ours = os.dup(2), sys.stderr
    reader = subprocess.Popen([sys.executable, "-I", "-S", "-c", FILTER], stdin=subprocess.PIPE, stdout=terminal)
    assert reader.stdin is not None
    sys.stderr = open(os.dup(terminal), "w", buffering=1, encoding=ours.encoding, errors=ours.errors)  # noqa: SIM115
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    try:
        yield
    finally:
        os.dup2(terminal, 2)  # the last end of the pipe is closed by this, and the reader ends
        os.close(terminal)
        reader.wait()
        sys.stderr, other = ours, sys.stderr
        other.close()
