"""A run in a notebook: one output that redraws itself, and the pictures at its end. Used only under IPython."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WIDTH = 30  # characters of the bar
EVERY = 0.5  # seconds between two drawings


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython.get_ipython() if ipython is not None else None, "kernel", None) is not None


@contextmanager
def notebook_progress(steps: int, done: int = 0) -> Iterator[tuple[Callable[..., None], Callable[[str], None]]]:
    """The like of `purecnn.train.progress.progress_bar`: the lines so far, and a bar below them."""
    from IPython.display import display  # type: ignore[import-not-found]

    lines: list[str] = []
    measured, drawn = "", time.monotonic()
    output = display({"text/plain": ""}, raw=True, display_id=True)
    assert output is not None  # with a display_id there is a handle

    def draw() -> None:
        nonlocal drawn
        full = WIDTH * done // max(steps, 1)
        bar = f"step {done}/{steps} {'█' * full}{'░' * (WIDTH - full)} {measured}"
        output.update({"text/plain": "\n".join([*lines, bar])}, raw=True)
        drawn = time.monotonic()

    def advance(more: int, *, loss: float, images_per_second: float) -> None:
        nonlocal done, measured
        done, measured = done + more, f"loss {loss:.4f}  {images_per_second:,.0f} images/s"
        if time.monotonic() - drawn > EVERY:
            draw()

    try:
        yield advance, lines.append
    finally:
        draw()


def show(folder: Path) -> None:
    """The curves and the confusion matrix of a run, below its lines."""
    from IPython.display import Image, display  # type: ignore[import-not-found]

    for name in ("curves.png", "confusion.png"):
        if (folder / name).is_file():
            display(Image(filename=str(folder / name)))
