"""`purecnn data fetch` and `purecnn data show`: get a published data set, look at any."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from purecnn.commands import complain
from purecnn.data.readers import Data as DataName
from purecnn.train.config import require


@dataclass(frozen=True)
class Fetch:
    """Fetch a published data set, once; an interrupted fetch is resumed."""

    name: Annotated[Literal["mnist", "fashion-mnist", "cifar10", "cifar100"], tyro.conf.Positional]
    """The data set."""
    to: str | None = None
    """The folder for its files. None: the cache, where `--data NAME` finds them without --data-dir."""


@dataclass(frozen=True)
class Show:
    """Draw some images of every class with its name."""

    data: DataName = "digits"
    """The images."""
    data_dir: str | None = None
    """The file or folder they are in. None: where `purecnn data fetch` puts them; digits need none."""
    image_size: int | None = None
    """Height and width of a folder's images: resized by the shortest side, cropped to the centre. Only for folders."""
    labels: str | None = None
    """A CSV table of a folder's images, with the columns file and class. None: every class has a folder."""
    skip_unreadable: bool = False
    """Leave out files that cannot be read, and list them. Otherwise the first few end the command."""
    background: str = "auto"
    """Background of transparent images: a colour, or auto: white, and black behind images too light for white."""
    max_megapixels: int = 64
    """Larger images are refused, in millions of pixels; JPEGs are read smaller and may have any size."""
    out: str | None = None
    """The picture. None: DATA.png in this folder."""
    each: int = 10
    """Images of every class."""

    def __post_init__(self):
        suffix = Path(self.out or "").suffix
        require("out", self.out, suffix.lower() in ("", ".png"), "a name in .png")
        require("each", self.each, 1 <= self.each <= 100, "an integer from 1 to 100")


Data = (
    Annotated[Fetch, tyro.conf.subcommand("fetch", prefix_name=False)]
    | Annotated[Show, tyro.conf.subcommand("show", prefix_name=False)]
)


def run(command: Fetch | Show) -> int:
    return _fetch(command) if isinstance(command, Fetch) else _show(command)


def _fetch(command: Fetch) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    from purecnn.data.published import fetch
    from purecnn.data.waiting import rich_bar

    console = Console(highlight=False, soft_wrap=True, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
               TimeRemainingColumn())  # fmt: skip
    try:
        with rich_bar(*columns, console=console, hidden=not console.is_terminal) as bar:
            tasks = {}

            def progress(file: str, have: int, total: int | None) -> None:
                if file not in tasks:
                    tasks[file] = bar.add_task(file, total=total)
                bar.update(tasks[file], completed=have, total=total)

            folder = fetch(command.name, None if command.to is None else Path(command.to), progress)
    except OSError as error:
        return complain(error, 1)
    console.print(f"{command.name} is in {folder}")
    return 0


def _show(command: Show) -> int:
    from purecnn.data.readers import read
    from purecnn.results.sheet import describe, draw_sheet

    path = Path(f"{command.data}.png" if command.out is None else command.out)
    try:
        names = ("image_size", "labels", "skip_unreadable", "background", "max_megapixels")
        data = read(command.data, command.data_dir, **{name: getattr(command, name) for name in names})
    except ValueError as error:
        return complain(error, 2)
    try:
        draw_sheet(path, data, each=command.each)
    except OSError as error:
        return complain(error, 1)
    print("\n".join((describe(data), *data.notes)))
    print(f"contact sheet in {path}")
    return 0
