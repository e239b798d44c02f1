"""The command and its terminal: output in the terminal's encoding, and Ctrl-C."""

from __future__ import annotations

import _thread
import codecs
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from purecnn.startup import end

GRACE = 2.0  # seconds in which a process that was told to end may end in order
PLAIN = {"×": "x", "→": "->", "…": "...", "·": ".", "–": "-", "—": "-", "−": "-", "─": "-", "│": "|", "γ": "gamma"}


def _spelled(error: UnicodeError) -> tuple[str, int]:
    """For what an encoding lacks: signs of ours in ASCII, all others by their number."""
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    return "".join(PLAIN.get(s, s.encode("ascii", "backslashreplace").decode()) for s in signs), error.end


def speak_any_encoding() -> None:
    """From now on, what stdout and stderr cannot encode is spelled out; it would be an error otherwise.

    One that is closed (`>&-`) is None in Python: what is printed there is lost, and not on the other one.
    """
    codecs.register_error("spelled", _spelled)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # as long as the process
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="spelled")


def out_of_memory(error: BaseException) -> str:
    """One line saying that a device or the machine ran out of memory, and what was requested; "" for other errors."""
    words = " ".join(str(error).split())
    if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in words:  # as XLA calls it
        return ""
    return f"out of memory: {words[:160] or 'no more can be had'}"


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Inside, no Ctrl-C is lost: the process ends by KeyboardInterrupt, or after GRACE seconds without it, with 130.

    Python raises KeyboardInterrupt between two instructions of the main thread. It never comes while XLA compiles, and
    inside a callback of the garbage collector (JAX has one) it is printed and forgotten. So what was forgotten is
    raised again, and a thread, which the signal reaches at once, ends the process where that does not. A handler of
    its own, as a training run has one, gets all the time it needs; then a second Ctrl-C ends the process so.
    """
    here = threading.current_thread() is threading.main_thread() and os.name == "posix"
    if not here or signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, end):
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before, hook = signal.set_wakeup_fd(write, warn_on_full_buffer=False), sys.unraisablehook
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    over = threading.Event()

    def watch() -> None:
        handled = 0
        while (number := os.read(read, 1)[0]) != 0:
            if number != signal.SIGINT:
                continue
            handled += 1
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler or handled > 1:
                if not over.wait(GRACE):
                    print("purecnn: interrupted", file=sys.stderr, flush=True)
                    os._exit(130)
                return

    def again(unraisable) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            threading.Timer(0.05, _thread.interrupt_main).start()
        elif not getattr(unraisable.object, "__module__", "").startswith("asyncio"):  # an event loop that never began
            hook(unraisable)

    sys.unraisablehook = again
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(before)
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, handler)
        os.write(write, b"\0")
        watcher.join()
        os.close(read)
        os.close(write)
