"""A training run, read top to bottom: load and build, compile, then step, evaluate, log and save."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from purecnn import models
from purecnn.backend import describe_hardware
from purecnn.chain import Chain
from purecnn.data.augmentation import make_augmentation
from purecnn.data.batches import batch_count, evaluation_batches
from purecnn.data.dataset import Dataset
from purecnn.data.readers import read
from purecnn.train import checkpoints as saved
from purecnn.train.about import About
from purecnn.train.compilation import loaded_programs
from purecnn.train.config import Config, require, resolved
from purecnn.train.devices import Devices, agree, all_devices, is_first_process, supply, wait_for_all
from purecnn.train.dispatching import cut, dispatches
from purecnn.train.freezing import frozen_layers
from purecnn.train.interruption import asked_to_stop
from purecnn.train.nets import begin_from, seen
from purecnn.train.objectives import OBJECTIVES, smoothed
from purecnn.train.optimizers import make_optimizer
from purecnn.train.plots import draw_confusion, draw_curves
from purecnn.train.progress import epoch_line, opening_lines, progress_bar
from purecnn.train.run_folder import append_metrics, has_config, make_run_folder, write_config, write_metrics
from purecnn.train.step import NORMS_EVERY, TrainState, evaluation, initial_state, steps_in_one_dispatch, training_step
from purecnn.train.stopping import Diverged, reason_to_stop, require_finite
from purecnn.train.weights import save_weights


@dataclass(frozen=True)
class Plan:
    """A run that can begin: model and data are there and fit each other, and nothing is written yet."""

    config: Config
    data: Dataset
    net: Chain
    optimizer: optax.GradientTransformation
    devices: Devices
    about: About
    start: TrainState
    steps_per_epoch: int


@dataclass(frozen=True)
class Result:
    """Where a run lies, every line of its metrics.jsonl, its steps, and whether it was interrupted."""

    folder: Path
    metrics: list[dict[str, Any]]
    steps: int
    interrupted: bool


def prepare(config: Config, *, resume: bool = False) -> Plan:
    """Load and build. Raises ValueError, naming what is wrong, if model, data and devices do not fit each other.

    With `resume`, a run that has weights of its own does not ask for the file that it began from.
    """
    config, devices = resolved(config), all_devices()
    data = read(config.data, config.data_dir, image_size=config.image_size)
    samples, batch_size = len(data.train), config.batch_size
    require("batch_size", batch_size, batch_size <= samples, f"at most {samples}, the training images")
    divides = batch_size % devices.count == 0
    require("batch_size", batch_size, divides, f"a multiple of {devices.count}, the devices that share it")
    net = getattr(models, config.model)(len(data.classes))
    steps_per_epoch = batch_count(samples, batch_size)
    optimizer = make_optimizer(config, steps_per_epoch)
    about = About(config.model, str(config.loss), data.name, data.classes, data.train.images.shape[1:])
    start = initial_state(net, optimizer, about.input_shape, config.seed, devices.everywhere)
    if config.init_weights is not None:
        own = Path(config.run_dir or "") / "weights.safetensors"
        file = str(own) if resume and config.run_dir and own.is_file() else config.init_weights
        about, start = begin_from(file, about, start, optimizer, devices)
    return Plan(config, data, net, optimizer, devices, about, start, steps_per_epoch)


def train(
    plan: Plan,
    console: Console,
    *,
    resume: bool = False,
    on_epoch: Callable[[dict[str, Any]], None] = lambda line: None,
) -> Result:
    """Run `plan` and fill its run folder; with `resume`, go on where the run in that folder was when it was last saved.

    Raises FileExistsError if the run folder is taken (without `resume`), ValueError if what is to be gone on with is of
    another model or other data, OSError if something cannot be written, and `Diverged`, with the step, at a loss that
    is no number; in the folder are then the weights of the last good epoch.
    """
    started = time.perf_counter()
    config, data, net, devices, about = plan.config, plan.data, plan.net, plan.devices, plan.about
    first = is_first_process()
    goes_on = resume and config.run_dir is not None and has_config(Path(config.run_dir))
    folder = Path(config.run_dir) if goes_on and config.run_dir else make_run_folder(config)
    wait_for_all("every process has seen the folder as it was")
    if first and not goes_on:
        write_config(folder, config)
    identity = saved.identity_of(data, plan.start)
    checkpoints = saved.open_checkpoints(folder)
    found = saved.restore(checkpoints, plan.start, identity, lambda what: console.print(f"warning: {what}"))
    if goes_on and not found and config.init_weights is not None:
        plan = prepare(config)  # its own weights may be those of a later epoch: from the start is from the file's
    now, progress = found or (plan.start, saved.Progress())
    step, total = int(now.step), plan.steps_per_epoch * config.epochs
    hardware = describe_hardware()
    frozen = frozen_layers(config.freeze, now.params)
    trained = [i for i, each in enumerate(now.params) if jax.tree.leaves(each) and i not in frozen]
    weighted = [f"{i} {net.layers[i].name}" for i in trained]
    console.print(opening_lines(net, data, now.params, hardware))
    if devices.count > 1:
        console.print(f"on {devices.count} devices, {config.batch_size // devices.count} images of a batch on each")
    if goes_on:
        console.print(
            f"going on after step {step:,} of {total:,}" if found else "nothing was saved yet: from the start"
        )

    # Compile before the clock of the training starts: one program per length of a dispatch, of which there are two.
    compiling, kept = time.perf_counter(), loaded_programs()
    train_set, test_set = supply(data.train, devices), supply(data.test, devices)
    objective, augment = OBJECTIVES[config.loss or ""], make_augmentation(config.augmentation)
    one_step = training_step(
        net,
        smoothed(objective, config.label_smoothing),
        plan.optimizer,
        lambda key, x: seen(about, augment(key, x)),
        jnp.dtype(config.precision),
        min(NORMS_EVERY, plan.steps_per_epoch),  # at least one in every epoch
        frozen,
    )
    steps = steps_in_one_dispatch(one_step, devices.everywhere)
    lengths = {len(part) for part in cut(np.arange(plan.steps_per_epoch), config)}
    programs = {n: steps.lower(now, *train_set.like(n, config.batch_size)).compile() for n in lengths}
    test_batches, is_real = evaluation_batches(len(data.test), config.batch_size)
    test_parts = [test_batches] if test_set.whole is not None else cut(test_batches, config)
    evaluate = evaluation(net, objective, devices.everywhere, partial(seen, about))
    judges = {
        n: evaluate.lower(now.params, now.state, *test_set.like(n, config.batch_size)).compile()
        for n in {len(part) for part in test_parts}
    }
    compile_seconds = time.perf_counter() - compiling
    from_disk = loaded_programs() - kept
    more = f", {from_disk} of {len(programs) + len(judges)} programs being there from a run before" if from_disk else ""
    console.print(f"compiled in {compile_seconds:.1f} s{more}")

    def test() -> tuple[float, np.ndarray]:
        """The mean loss of the test images, and the class each is taken for."""
        judged = [judges[len(part[2])](now.params, now.state, *part) for part in test_set.parts(test_parts)]
        losses, guesses = (np.concatenate([np.asarray(each[i]) for each in judged]) for i in (0, 1))
        return float(losses[is_real].mean()), guesses[is_real]

    def save() -> None:
        progress.seconds += time.perf_counter() - since
        saved.save(checkpoints, now, progress, identity)

    def save_epoch(name: str) -> None:
        if first:
            save_weights(folder / name, {"params": now.params, "state": now.state}, about.metadata())

    if first:
        write_metrics(folder, progress.metrics)
        if not found:
            save_epoch("weights.safetensors")
    since, predictions, interrupted = started, None, False
    over = reason_to_stop(progress.metrics, config)
    left = dispatches(len(data.train), config, step) if not over else iter(())
    try:
        with asked_to_stop() as stop, progress_bar(console, total, step) as (advance, say):
            clock = last_save = time.perf_counter()
            for part in train_set.parts(left):
                now, measured = programs[len(part[2])](now, *part)
                fresh = measured.loss.tolist()
                require_finite(fresh, first_step=step + 1)
                step += len(fresh)
                progress.losses += fresh
                progress.correct += int(measured.correct.sum())
                progress.norms += [norms for norms in measured.norms.tolist() if norms[0] >= 0]
                progress.stepping += time.perf_counter() - clock
                rate = len(progress.losses) * config.batch_size / progress.stepping
                advance(len(fresh), loss=fresh[-1], images_per_second=rate)

                if step % plan.steps_per_epoch == 0:
                    test_loss, predictions = test()
                    # A step measures the loss before its update; what the epoch's last update did shows only here.
                    require_finite([test_loss], first_step=step)
                    line = {
                        "epoch": step // plan.steps_per_epoch,
                        "step": step,
                        "train_loss": sum(progress.losses) / len(progress.losses),
                        # of the predictions made on the way
                        "train_accuracy": progress.correct / (plan.steps_per_epoch * config.batch_size),
                        "gradient_norms": dict(zip(weighted, np.mean(progress.norms, axis=0).tolist(), strict=True)),
                        "test_loss": test_loss,
                        "test_accuracy": float((predictions == data.test.labels).mean()),
                        "images_per_second": rate,  # while stepping: without compilation, evaluation and saving
                        "compile_seconds": compile_seconds,
                        "hardware": hardware,
                        "seconds": progress.seconds + time.perf_counter() - since,
                    }
                    save_epoch("weights.safetensors")
                    if all(line["test_accuracy"] > before["test_accuracy"] for before in progress.metrics):
                        save_epoch("best.safetensors")
                    progress.metrics.append(line)
                    progress.losses, progress.norms, progress.correct, progress.stepping = [], [], 0, 0.0
                    if first:
                        append_metrics(folder, line)
                    on_epoch(line)
                    say(epoch_line(line, config.epochs))
                    over = reason_to_stop(progress.metrics, config)

                interrupted, due = agree(stop(), time.perf_counter() - last_save > config.checkpoint_every)
                if over or interrupted or due:
                    save()
                    since = last_save = time.perf_counter()
                if over or interrupted:
                    break
                clock = time.perf_counter()
    except Diverged:
        if progress.metrics and first:
            draw_curves(folder / "curves.png", progress.metrics, f"{net.name} on {data.name}, until it diverged")
        raise
    interrupted = interrupted and not over
    if interrupted or not first:
        return Result(folder, progress.metrics, step, interrupted)

    if over and step < total:
        console.print(over)
    if predictions is None:
        _, predictions = test()
    draw_curves(folder / "curves.png", progress.metrics, f"{net.name} on {data.name}")
    accuracy = progress.metrics[-1]["test_accuracy"]
    title = f"{net.name} on {data.name}: {accuracy:.2%} of {len(data.test):,} test images right"
    draw_confusion(folder / "confusion.png", data.test.labels, predictions, data.classes, title)
    return Result(folder, progress.metrics, step, False)
