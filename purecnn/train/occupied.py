"""Two processes that train in one folder would each overwrite what the other writes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Inside, a run that is resumed in `folder` by another process is refused; however this process ends, it is free.

    Raises FileExistsError if another one is in it. Where the file system knows no locks, none is refused.
    """
    if fcntl is None:
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise FileExistsError(f"run_dir: another process trains in {folder}; wait for its end") from None
        yield
    finally:
        os.close(place)
