"""Ctrl-C, SIGTERM from a cluster that takes a machine back, SIGHUP of a terminal that closes: a run saves and stops."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]  # no SIGHUP on Windows


@contextmanager
def graceful_shutdown() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether one of SIGNALS has come; a second one raises KeyboardInterrupt at once.

    Python handles signals in the main thread alone: in another thread the function always says no.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    seen: list[int] = []

    def note(number, frame):
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    ignored = {number for number in SIGNALS if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGINT}
    before = {number: signal.signal(number, note) for number in SIGNALS if number not in ignored}  # as nohup does
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
