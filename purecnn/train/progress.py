"""What a run says while it goes: a bar on a terminal, and one line per epoch anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from purecnn.chain import Chain
from purecnn.data.dataset import Dataset


@contextmanager
def progress_bar(console: Console, steps: int, done: int = 0) -> Iterator[Callable[..., None]]:
    """Yields advance(steps, loss=…, images_per_second=…); the bar is there on a terminal only."""
    columns = (
        TextColumn("step {task.completed}/{task.total}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.4f}  {task.fields[images_per_second]:,.0f} images/s  ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("train", total=steps, completed=done, loss=float("nan"), images_per_second=0.0)

        def advance(done: int, *, loss: float, images_per_second: float) -> None:
            bar.update(task, advance=done, loss=loss, images_per_second=images_per_second)

        yield advance


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
