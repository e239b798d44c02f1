"""The output of a run: a bar on a terminal, and one line per epoch everywhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from purecnn.chain import Chain
from purecnn.data.dataset import Dataset, describe_splits
from purecnn.data.waiting import rich_bar

WIDE = 70  # columns of a terminal that has room for the bar itself and the rate, and for the ^C that Ctrl-C leaves


class RunConsole(Console):
    """Lines as they are. Other consoles of rich end the process where the output is closed, before a run can be saved.

    Raises BrokenPipeError there.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(highlight=False, markup=False, soft_wrap=True, **how)

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that it is called for


@contextmanager
def progress_bar(
    console: Console, steps: int, done: int = 0
) -> Iterator[tuple[Callable[..., None], Callable[[str], None]]]:
    """Yields advance(steps, loss=…, images_per_second=…) and say(line); the bar is there on a terminal only.

    A line above the bar has the terminal draw both anew, which takes as long as a step of a small net. So there lines
    that come thick and fast are printed several at a time, twice a second; a slow run's are printed as they come.
    """
    wide = console.width >= WIDE
    columns = (
        TextColumn("step {task.completed}/{task.total}"),
        *((BarColumn(min(40, console.width - WIDE + 4)),) if wide else ()),
        TextColumn("{task.fields[measured]}ETA" if wide else "{task.fields[measured]}"),
        TimeRemainingColumn(),
    )
    hidden = not console.is_terminal
    waiting: list[str] = []
    printed = -math.inf
    with rich_bar(*columns, console=console, hidden=hidden, transient=True, refresh_per_second=2) as bar:
        task = bar.add_task("train", total=steps, completed=done, measured="")

        def advance(done: int, *, loss: float, images_per_second: float) -> None:
            rate = f"{images_per_second:,.0f} images/s  " if wide else ""
            bar.update(task, advance=done, measured=f"loss {loss:.4f}  {rate}")

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
    """The first lines of a run: what is trained, on what."""
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    first = f"{net.name} on {data.name}: {describe_splits(data)}, {parameters:,} parameters"
    return "\n".join((first, *data.notes, f"hardware: {hardware}"))


def epoch_line(line: dict[str, Any], epochs: int) -> str:
    """One line of metrics.jsonl for people."""
    val = f"  val {line['val_accuracy']:.2%}" if "val_accuracy" in line else ""
    return (
        f"epoch {line['epoch']:>{len(str(epochs))}}/{epochs}  loss {line['train_loss']:.4f}"
        f"  train {line['train_accuracy']:.2%}{val}  {line['images_per_second']:,.0f} images/s"
    )


def last_line(best: dict[str, Any], last: dict[str, Any], test: dict[str, Any] | None, seconds: float) -> str:
    """The result of a run: the test with the best weights, their epoch, and the last epoch for comparison."""
    parts = []
    if test is not None:
        parts.append(f"test accuracy {test['test_accuracy']:.2%} with the best weights")
    if "val_accuracy" in last:
        parts.append(f"best: epoch {best['epoch']}, val {best['val_accuracy']:.2%}")
        parts.append(f"last: epoch {last['epoch']}, val {last['val_accuracy']:.2%}")
    else:
        parts.append(f"last: epoch {last['epoch']}, train {last['train_accuracy']:.2%}")
    return "; ".join((*parts, f"{seconds:.1f} s in all"))
