"""Ctrl-C while the command `purecnn` starts: this is imported before JAX, and does nothing in any other process.

JAX has a callback of the garbage collector, and Python forgets a KeyboardInterrupt that is raised in one. A handler
that raises nothing cannot be forgotten; `purecnn.cli` takes over from it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def is_command() -> bool:
    """Whether this process was started as `purecnn …` or `python -m purecnn …`."""
    words = sys.orig_argv
    module = words[words.index("-m") + 1 :][:1] if "-m" in words else []
    return module in (["purecnn"], ["purecnn.cli"]) or os.path.basename(sys.argv[0]) == "purecnn"


def end(number, frame) -> None:
    os.write(2, b"purecnn: interrupted\n")
    os._exit(130)


# A shell has what it starts in the background ignore SIGINT: then it stays ignored.
listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if listens and is_command() and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, end)
