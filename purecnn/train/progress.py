"""What a run says while it goes: a bar on a terminal, and one line per epoch anywhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from purecnn.chain import Chain
from purecnn.data.dataset import Dataset


@contextmanager
def progress_bar(
    console: Console, steps: int, done: int = 0
) -> Iterator[tuple[Callable[..., None], Callable[[str], None]]]:
    """Yields advance(steps, loss=…, images_per_second=…) and say(line); the bar is there on a terminal only.

    A line above the bar has the terminal draw both anew, which takes as long as a step of a small net. So there lines
    that come thick and fast are printed several at a time, twice a second; a slow run's are printed as they come.
    """
    columns = (
        TextColumn("step {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  {task.fields[images_per_second]:,.0f} images/s  ETA"),
        TimeRemainingColumn(),
    )
    hidden = not console.is_terminal
    waiting: list[str] = []
    printed = -math.inf
    with Progress(*columns, console=console, transient=True, disable=hidden, refresh_per_second=2) as bar:
        task = bar.add_task("train", total=steps, completed=done, loss=float("nan"), images_per_second=0.0)

        def advance(done: int, *, loss: float, images_per_second: float) -> None:
            bar.update(task, advance=done, loss=loss, images_per_second=images_per_second)

        def say(line: str) -> None:
            nonlocal printed
            waiting.append(line)
            if hidden or time.monotonic() - printed > 0.5:
                console.print("\n".join(waiting))
                waiting.clear()
                printed = time.monotonic()

        try:
            yield advance, say
        finally:
            if waiting:
                console.print("\n".join(waiting))


def opening_lines(net: Chain, data: Dataset, params: Any, hardware: str) -> str:
    """What is about to be trained, on what."""
    return (
        f"{net.name} on {data.name}: {len(data.train):,} images to train on, {len(data.test):,} to test with, "
        f"{sum(leaf.size for leaf in jax.tree.leaves(params)):,} parameters\nhardware: {hardware}"
    )


def epoch_line(line: dict[str, Any], epochs: int) -> str:
    """One line of metrics.jsonl for people."""
    return (
        f"epoch {line['epoch']:>{len(str(epochs))}}/{epochs}  loss {line['train_loss']:.4f}"
        f"  train {line['train_accuracy']:.2%}  test {line['test_accuracy']:.2%}"
        f"  {line['images_per_second']:,.0f} images/s"
    )
