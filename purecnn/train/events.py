"""The lines of metrics.jsonl as TensorBoard reads them: `tensorboard --logdir RUN/events`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FOLDER = "events"


@contextmanager
def event_log(folder: Path | None, before: Sequence[dict[str, Any]]) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yields what adds a line of metrics.jsonl to the events in `folder`; None: nothing is written.

    `before` are the lines that the run has, none where it begins anew: what a killed run wrote later is struck out, and
    where no events were written until now these come first.
    Raises OSError, which names the folder, where a disk is full.
    """
    if folder is None:
        yield lambda line: None
        return
    from tensorboardX import SummaryWriter

    earlier = [] if any((folder / FOLDER).glob("events.*")) else [*before]
    done = before[-1]["step"] if before and not earlier else 0
    writer, full = SummaryWriter(str(folder / FOLDER), purge_step=done + 1), False

    def on_disk(act: Callable[[], None]) -> None:
        nonlocal full
        try:
            act()
        except OSError as error:  # which names no file, and would be raised once more at the end of the process
            full, events = True, writer.file_writer.event_writer  # type: ignore[reportOptionalMemberAccess]
            events.flush = lambda: None
            with suppress(OSError):
                events.close()
            raise OSError(error.errno, error.strerror, str(folder / FOLDER)) from None

    def add(line: dict[str, Any]) -> None:
        for name, value in scalars(line).items():
            writer.add_scalar(name, value, line["step"])
        on_disk(writer.flush)

    try:
        for line in earlier:
            add(line)
        yield add
    finally:
        if not full:
            on_disk(writer.close)


def scalars(line: dict[str, Any]) -> dict[str, float]:
    """Loss and accuracy under one heading each, for the splits to stand in one chart; the gradients' norms; speed."""
    found = {}
    for name, value in line.items():
        split, _, what = name.partition("_")
        if what in ("loss", "accuracy"):
            found[f"{what}/{split}"] = value
    found |= {f"gradient_norm/{layer}": norm for layer, norm in line["gradient_norms"].items()}
    return found | {"images_per_second": line["images_per_second"]}
