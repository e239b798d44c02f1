"""A bar on a terminal, and the time that is left, while many files are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import track

FEW = 500  # files that are read before anybody wonders


def shown(items: Iterable[Any], what: str, total: int, few: int = FEW) -> Iterator[Any]:
    """`items`, of which there are `total`; on stderr, where that is a terminal and they are not few, how far one is."""
    console = Console(stderr=True)
    hidden = total < few or not console.is_terminal
    yield from track(items, what, total=total, console=console, transient=True, disable=hidden)
