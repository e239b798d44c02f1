"""`purecnn eval`: how good a run's net is, on every image of a split."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from purecnn.commands import complain, for_json, in_words
from purecnn.data.dataset import SplitName
from purecnn.data.readers import Data as DataName

if TYPE_CHECKING:
    from purecnn.results.evaluation import Evaluation

ALL = "--split all looks at all"
NO_RUN = "got a file outside of a run's folder, expected --data and --data-dir, which name the images"
WIDTH = 200  # a table is never cut to a narrower terminal, nor in a pipe
MOST_COLUMNS = 12  # classes, for what each was predicted as to stand in the table


@dataclass(frozen=True)
class Eval:
    """Accuracy, precision and recall by class, the confusion matrix and the worst images of a run's net."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The folder of a run, or a file of weights: one of a run's, or with --data any."""
    split: Literal[SplitName, "all"] = "test"
    """The images to look at; all: every one of other data, which nothing was trained on."""
    data: DataName | None = None
    """Other images than the run's, of the same classes; with --data-dir alone they are of the run's kind."""
    data_dir: str | None = None
    """The file or folder they are in; the run's own too, if they are no longer where they were."""
    labels: str | None = None
    """A CSV table with the classes of other images that lie in no folders of their classes."""
    skip_unreadable: bool = False
    """Leave out files that cannot be read."""
    last: bool = False
    """The weights after the last epoch instead of the best."""
    json: bool = False
    """Print one JSON object instead of the tables."""


def run(command: Eval) -> int:
    with for_json(command.json) as out:
        return _run(command, out)


def _run(command: Eval, out: Any) -> int:
    from purecnn.data.listing import HELD_OUT
    from purecnn.results.evaluation import all_splits, as_json, evaluate, load_data
    from purecnn.results.pictures import draw_worst
    from purecnn.results.trained import load_trained, require_run
    from purecnn.train.config import Config
    from purecnn.train.run_folder import has_config, read_config

    folder = command.folder.parent if command.folder.is_file() else command.folder
    try:
        if command.folder.is_file() and command.data is not None:  # which may be far from any run
            config = Config(data=command.data)
        else:
            if command.folder.is_file() and not has_config(folder):
                raise ValueError(f"{command.folder}: {NO_RUN}")
            require_run(folder)
            config = read_config(folder)
        trained = load_trained(command.folder, last=command.last)
        moved = command.data is not None or command.data_dir is not None
        others = moved or command.labels is not None
        if moved:
            # Of another kind, they are not read by the options that the run's are read by.
            config = config if command.data in (None, config.data) else Config(data=command.data)
            config = dataclasses.replace(config, data_dir=command.data_dir)
        skip = command.skip_unreadable or config.skip_unreadable
        config = dataclasses.replace(config, labels=command.labels or config.labels, skip_unreadable=skip)
        data = load_data(config, trained, others=others)
        if others and command.split not in ("all", *data.splits()):
            there = ", ".join(data.splits())
            raise ValueError(f"split: got {command.split!r}, expected one of {there}, which {data.name} has; {ALL}")
        split = all_splits(data) if command.split == "all" else data.split(command.split)
    except (ValueError, TypeError, OSError) as error:
        return complain(error, 2)
    result = evaluate(trained, split)
    picture = folder / ("worst.png" if command.split == "test" else f"worst-{command.split}.png")
    images = f"{len(split):,} {'' if command.split == 'all' else f'{command.split} '}images"
    title = f"{trained.net.name} on {data.name}: least sure of the true class, of {images}"
    try:
        draw_worst(picture, result, split.images, title)
    except OSError as error:  # the folder of a run may be another's, or on a disk that is only read
        complain(f"warning: the worst images are not drawn: {in_words(error)}", 0)
        picture = None
    if command.json:
        found = {"run": str(command.folder), "split": command.split, **as_json(result, picture)}
        print(json.dumps(found), file=out)
        return 0
    held = next((note for note in data.notes if note.startswith(HELD_OUT)), None)
    if held and others and command.split != "all":  # of its own images the run has said it
        print(f"{held}; {ALL}")
    _print(result, images, picture)
    return 0


def _print(result: Evaluation, images: str, picture: Path | None) -> None:
    """Precision and recall by class and, where the columns are few enough, what each class was predicted as."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = 2 * max(map(len, result.classes))  # some letters are two columns wide
    console = Console(highlight=False, soft_wrap=True, markup=False, width=WIDTH + names)
    top5 = "" if result.top5 is None else f", top-5 {result.top5:.2%}"
    console.print(f"{images}: top-1 {result.accuracy():.2%}{top5}")
    counts, shown = result.confusion, result.classes if len(result.classes) <= MOST_COLUMNS else ()
    heads = ("class", "images", "precision", "recall", *(f"→ {name[:6]}" for name in shown))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, head in enumerate(heads):
        table.add_column(Text(head), justify="right" if i else "left", no_wrap=True)
    for row, predicted_as in zip(result.per_class(), counts, strict=True):
        shares = ("none" if share is None else f"{share:.2%}" for share in (row["precision"], row["recall"]))
        table.add_row(
            Text(row["class"]), f"{row['images']:,}", *shares, *(str(n or "·") for n in predicted_as[: len(shown)])
        )
    console.print(table)
    wrong = result.confused(5)
    console.print("most often predicted as another:" if wrong else "none was predicted as another")
    for row, column, n in wrong:
        console.print(f"  {result.classes[row]} as {result.classes[column]}: {n} of {counts[row].sum()}")
    if picture is not None:
        console.print(f"the worst images are in {picture}")
