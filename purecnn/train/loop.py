"""A training run, read top to bottom: begin or restore, compile, then step, evaluate, log and save; test at the end."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from purecnn.data.dataset import Dataset
from purecnn.data.guards import Refused
from purecnn.data.stream import Stream
from purecnn.train import checkpoints as saved
from purecnn.train.config import require
from purecnn.train.devices import any_process, is_first_process, together, wait_for_all
from purecnn.train.events import event_log
from purecnn.train.interruption import graceful_shutdown
from purecnn.train.notebook import in_notebook, notebook_progress, show
from purecnn.train.occupied import alone_in
from purecnn.train.plan import Plan, prepare
from purecnn.train.progress import epoch_line, opening_lines, progress_bar
from purecnn.train.run import Part, Run
from purecnn.train.run_folder import (
    has_config,
    make_run_folder,
    no_run,
    require_checkpoints,
    resume_command,
    write_config,
    write_skipped,
    write_test,
)
from purecnn.train.stopping import Diverged, best_line, how_to_go_on, how_to_mend, reason_to_stop, untrained


@dataclass(frozen=True)
class Result:
    """The folder of a run, every line of its metrics.jsonl, its steps, and whether it was interrupted.

    `best` is the line of the epoch whose weights are handed on; `test` has "test_loss" and "test_accuracy" with these
    weights, once the run is over.
    """

    folder: Path
    metrics: list[dict[str, Any]] = field(repr=False)  # a notebook shows what its last line returns
    steps: int
    interrupted: bool
    best: dict[str, Any] = field(repr=False)
    data: Dataset = field(repr=False)
    test: dict[str, Any] | None = None


def train(
    plan: Plan,
    console: Console,
    *,
    resume: bool = False,
    on_epoch: Callable[[dict[str, Any]], None] = lambda line: None,
) -> Result:
    """Run `plan` and fill its run folder; with `resume`, from where the run in that folder was last saved.

    Raises FileExistsError if the run folder is taken (without `resume`), ValueError if the run to resume is of another
    model, config or other data, OSError if something cannot be written, and `Diverged`, with the step, at a non-finite
    loss; in the folder are then the weights of the last good epoch.
    """
    if not callable(on_epoch):
        raise TypeError(f"on_epoch: got {type(on_epoch).__name__}, expected a function of the line of an epoch")
    config = plan.config
    named = None if config.run_dir is None else Path(config.run_dir)
    goes_on = resume and named is not None and has_config(named)
    missing = no_run(named) if resume and named and not goes_on else None
    folder = named if named and goes_on else make_run_folder(config)
    with alone_in(folder) if is_first_process() else nullcontext():
        if missing:
            console.print(f"{missing}: a new one begins")
        return _train(begin(plan, console, folder, goes_on=goes_on), console, on_epoch)


def _train(run: Run, console: Console, on_epoch: Callable[[dict[str, Any]], None]) -> Result:
    try:
        if advance(run, console, on_epoch):
            try:
                return finish(run, console)
            except KeyboardInterrupt as error:
                error.add_note(f"all epochs are saved, and not tested; {resume_command(run.folder)} does it")
                raise
        return Result(run.folder, run.progress.metrics, run.steps, True, best_line(run.progress.metrics), run.plan.data)
    except Refused as fault:  # an image that is read only now
        mend = how_to_mend(str(fault), run.plan.data)
        raise Refused(f"{fault}; {run.saved()}; {mend}: {resume_command(run.folder)}") from fault
    except Diverged:
        if run.progress.metrics and is_first_process():
            from purecnn.train.plots import draw_curves

            title = f"{run.plan.net.name} on {run.plan.data.name}, until it diverged"
            draw_curves(run.folder / "curves.png", run.progress.metrics, title)
        raise
    except Exception as error:
        # Whatever a program's own iterable or function raises; that of a full disk would fail once more.
        own, closed = isinstance(run.plan.data.train, Stream), isinstance(error, BrokenPipeError)
        if own or closed or not isinstance(error, OSError):
            with suppress(OSError):
                said, is_saved = run.saved(), run.checkpoints.latest_step() is not None
                again = f"resume=True {'goes on with it' if is_saved else 'begins anew'}"
                error.add_note(
                    f"{said}; {again if own or not closed else f'resume with: {resume_command(run.folder)}'}"
                )
        raise


def advance(run: Run, console: Console, on_epoch: Callable[[dict[str, Any]], None]) -> bool:
    """Step until the run is over, True, or until Ctrl-C; at an epoch's end, evaluate and log; now and then, save."""
    config, metrics = run.plan.config, run.progress.metrics
    over, interrupted, began = "", False, run.steps
    events = run.folder if config.log == "tensorboard" and is_first_process() else None
    bar = notebook_progress if in_notebook() else partial(progress_bar, console)
    with (
        graceful_shutdown() as stop,
        bar(run.plan.steps, run.steps) as (show_progress, say),
        event_log(events, metrics) as log,
    ):

        def end_epoch() -> None:
            line = run.end_epoch()
            call_on_epoch(run, on_epoch, line)
            log(line)
            say(epoch_line(line, config.epochs))

        clock = last_save = time.perf_counter()
        if run.lacks_a_line:
            end_epoch()
            over = reason_to_stop(metrics, config)
        elif over := reason_to_stop(metrics, config):
            console.print(f"nothing is left to train: {over}; {how_to_go_on(metrics, config)}")
        for part in () if over else until_stopped(run.parts(), stop):
            losses = run.step(part, began=clock)
            show_progress(len(losses), loss=losses[-1], images_per_second=run.rate)
            if run.is_at_epochs_end:
                end_epoch()
                over = reason_to_stop(metrics, config)
            interrupted, due = any_process(stop(), time.perf_counter() - last_save > config.checkpoint_every)
            if over or interrupted or due:
                run.checkpoint()
                last_save = time.perf_counter()
            if over or interrupted:
                break
            clock = time.perf_counter()
        if not (over or interrupted) and stop():
            run.checkpoint()
            interrupted = True
    if over and began < run.steps < run.plan.steps:
        console.print(over)
    if interrupted and not over and in_notebook():  # a command says it on stderr
        console.print(f"interrupted after step {run.steps:,}, which is saved; resume=True goes on with it")
    return bool(over)


def until_stopped(parts: Iterator[Part], stop: Callable[[], bool]) -> Iterator[Part]:
    """`parts`, which end where they fail once `stop` says so: Ctrl-C in a terminal ends a loader's workers as well."""
    try:
        yield from parts
    except Exception:
        if not stop():
            raise


def call_on_epoch(run: Run, on_epoch: Callable[[dict[str, Any]], None], line: dict[str, Any]) -> None:
    """With a copy of the line, which may be changed. What ends the program there, as `sys.exit`, loses no epoch."""
    try:
        on_epoch(copy.deepcopy(line))
    except (KeyboardInterrupt, SystemExit):
        run.saved()
        raise


def begin(plan: Plan, console: Console, folder: Path, *, goes_on: bool) -> Run:
    """A new run in `folder`, or the one there as it was last saved; compiled, its folder brought up to date."""
    started, config = time.perf_counter(), plan.config
    wait_for_all("every process has seen the folder as it was")
    identity = together(lambda: saved.identity_of(plan.data, plan.start, config))
    if is_first_process() and not goes_on:  # before anything else: a folder without a config is not one to resume
        write_config(folder, config)
    if goes_on:
        require_checkpoints(folder)
    wait_for_all("every process has looked for checkpoints")
    checkpoints = saved.open_checkpoints(folder)
    found = saved.restore(checkpoints, plan.start, identity, lambda what: console.print(f"warning: {what}"))
    if goes_on and not found and config.init_weights is not None:
        # Its own weights may be those of a later epoch: from the start is from the file's.
        plan = prepare(config, net=plan.net, data=plan.data, augment=plan.augment)
    if found:
        done = len(found[1].metrics)
        require("epochs", config.epochs, config.epochs >= done, f"at least {done}, which the run has done")
    if is_first_process() and goes_on:
        write_config(folder, config)  # it may have more epochs now
    now, progress = found or (plan.start, saved.Progress())
    run = Run(plan, folder, checkpoints, identity, now, progress, started)
    if is_first_process():
        write_skipped(folder, plan.data.skipped)
    console.print(opening_lines(plan.net, plan.data, now.params, run.hardware))
    if jax.default_backend() == "gpu" and not config.deterministic:
        console.print("two runs of one seed differ in their last digits on a GPU; with --deterministic they are equal")
    if plan.devices.count > 1:
        each = config.batch_size // plan.devices.count
        console.print(f"on {plan.devices.count} devices, {each} images of a batch on each")
    if goes_on:
        at = (
            f"resuming after step {run.steps:,} of {plan.steps:,}"
            if found
            else "no checkpoint was saved: starting anew"
        )
        console.print(at)
    console.print(run.compile())
    run.rewrite_metrics()
    if not found:
        run.save_weights("weights.safetensors")
    return run


def finish(run: Run, console: Console) -> Result:
    """Test with the best weights, once, and draw the pictures of the run; without a test set, of what validates."""
    from purecnn.train.plots import draw_confusion, draw_curves  # matplotlib takes a second: no first step waits for it

    data, metrics, title = run.plan.data, run.progress.metrics, f"{run.plan.net.name} on {run.plan.data.name}"
    best, test = best_line(metrics), None
    if is_first_process():
        draw_curves(run.folder / "curves.png", metrics, title)
    name = "test" if data.test is not None else "val"
    split = data.splits().get(name)
    if split is not None:
        found, predictions = run.measure(name, *run.best_weights())
        if is_first_process():
            title += f": {found[f'{name}_accuracy']:.2%} of {len(split):,} {name} images right"
            draw_confusion(run.folder / "confusion.png", split.labels, predictions, data.classes, title)
        if said := untrained(predictions, split.labels, data.classes):
            console.print(said)
        if name == "test":
            test = {"epoch": best["epoch"], "images": len(split), **found}
            if is_first_process():
                write_test(run.folder, test)
    if in_notebook():
        show(run.folder)
    return Result(run.folder, metrics, run.steps, False, best, data, test)
