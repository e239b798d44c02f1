"""A progress bar on a terminal, with the remaining time, while many files are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

FEW = 500  # files that are read before a bar is shown


def shown(items: Iterable[Any], what: str, total: int, few: int = FEW) -> Iterator[Any]:
    """`items`, of which there are `total`; on stderr, where that is a terminal and they are not few, how far one is."""
    console = Console(stderr=True)
    hidden = total < few or not console.is_terminal
    # The bar leaves room for the ^C of Ctrl-C: what goes on in the next line would not be cleared away.
    bar = BarColumn(max(0, min(40, console.width - len(what) - 20)))
    columns = (TextColumn("{task.description}"), bar, TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        yield from progress.track(items, total=total, description=what)
