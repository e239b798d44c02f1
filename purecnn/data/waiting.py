"""A progress bar on a terminal, with the remaining time, while many files are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

FEW = 500  # files that are read before a bar is shown


def rich_bar(*columns: ProgressColumn, console: Console, hidden: bool, **options: Any) -> Progress:
    """One of rich's. A hidden one prints nothing: before rich 15 a disabled one ends with an empty line."""
    return Progress(*columns, console=Console(quiet=True) if hidden else console, disable=hidden, **options)


def shown(items: Iterable[Any], what: str, total: int, few: int = FEW) -> Iterator[Any]:
    """`items`, of which there are `total`; on stderr, where that is a terminal and they are not few, how far one is."""
    console = Console(stderr=True)
    hidden = total < few or not console.is_terminal
    # The bar leaves room for the ^C of Ctrl-C: what goes on in the next line would not be cleared away.
    bar = BarColumn(max(0, min(40, console.width - len(what) - 20)))
    columns = (TextColumn("{task.description}"), bar, TaskProgressColumn(), TimeRemainingColumn())
    with rich_bar(*columns, console=console, hidden=hidden, transient=True) as progress:
        yield from progress.track(items, total=total, description=what)
