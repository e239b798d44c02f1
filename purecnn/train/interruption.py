"""Ctrl-C, SIGTERM from a cluster that takes a machine back, SIGUSR1 by which it warns before that (Slurm's --signal),
SIGHUP of a terminal that closes: a run saves and stops."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Windows has but the first two.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name)]
CHILD = getattr(signal, "SIGCHLD", None)


@contextmanager
def graceful_shutdown() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether one of SIGNALS has come; a second one raises KeyboardInterrupt at once.

    Python handles signals in the main thread alone: in another thread the function always says no.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    seen: list[int] = []
    before: dict[int, Any] = {}

    def note(number, frame):
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        if CHILD is not None and callable(handler := signal.getsignal(CHILD)):
            # PyTorch's raises, wherever this thread is, that a worker has ended, as Ctrl-C in a terminal ends them too.
            before[CHILD] = handler
            signal.signal(CHILD, lambda number, frame: None)

    def is_ignored(number):  # as nohup has it of SIGHUP; a shell has a background job ignore SIGINT unasked
        return number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN

    before |= {number: signal.signal(number, note) for number in SIGNALS if not is_ignored(number)}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
