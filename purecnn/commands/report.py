"""`purecnn report`: one page about a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from purecnn.commands import complain, in_words


@dataclass(frozen=True)
class Report:
    """Write RUN/report.html, all about a run in one file: curves, classes, worst images, filters, config."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The folder of the run."""
    out: Path | None = None
    """The file to write, which may exist; the run's folder is then only read. None: RUN/report.html."""
    data_dir: str | None = None
    """Where the run's images are now, if they were moved."""


def run(command: Report) -> int:
    from purecnn.results.report import write_report

    try:
        path = write_report(command.folder, out=command.out, data_dir=command.data_dir)
    except (ValueError, TypeError, FileNotFoundError) as error:
        return complain(error, 2)
    except OSError as error:
        return complain(error if command.out else f"{in_words(error)}; --out writes the page elsewhere", 1)
    print(f"{path}, {path.stat().st_size:,} bytes")
    return 0
