"""A training run, read top to bottom: load and build, compile, then in every epoch step, evaluate, log and save."""

from __future__ import annotations

import time
from dataclasses import dataclass
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
from purecnn.data.augmentation import AUGMENTATIONS
from purecnn.data.batches import batch_count, evaluation_batches, training_batches
from purecnn.data.dataset import Dataset
from purecnn.data.readers import READERS
from purecnn.train.config import Config, require, resolved
from purecnn.train.objectives import OBJECTIVES
from purecnn.train.optimizers import make_optimizer
from purecnn.train.plots import draw_confusion, draw_curves
from purecnn.train.progress import epoch_line, progress_bar
from purecnn.train.run_folder import append_metrics, make_run_folder, write_config
from purecnn.train.step import TrainState, evaluation, initial_state, steps_in_one_dispatch, training_step
from purecnn.train.stopping import Diverged, converged, require_finite
from purecnn.train.weights import save_weights


@dataclass(frozen=True)
class Plan:
    """A run that can begin: model and data are there and fit each other, and nothing is written yet."""

    config: Config
    data: Dataset
    net: Chain
    optimizer: optax.GradientTransformation
    start: TrainState
    steps_per_epoch: int


@dataclass(frozen=True)
class Result:
    """Where a finished run lies, and every line of its metrics.jsonl."""

    folder: Path
    metrics: list[dict[str, Any]]


def prepare(config: Config) -> Plan:
    """Load and build. Raises ValueError, naming what is wrong, if model and data do not fit each other."""
    config = resolved(config)
    data = READERS[config.data]()
    samples = len(data.train)
    require("batch_size", config.batch_size, config.batch_size <= samples, f"at most {samples}, the training images")
    net = getattr(models, config.model)(len(data.classes))
    steps_per_epoch = batch_count(samples, config.batch_size)
    optimizer = make_optimizer(config, steps_per_epoch * config.epochs)
    start = initial_state(net, optimizer, data.train.images.shape[1:], config.seed)
    return Plan(config, data, net, optimizer, start, steps_per_epoch)


def train(plan: Plan, console: Console) -> Result:
    """Run `plan` and fill its run folder.

    Raises FileExistsError if the run folder is taken, and `Diverged`, with the step, at a loss that is no number; in
    the folder are then the weights of the last good epoch.
    """
    started = time.perf_counter()
    config, data, net, now = plan.config, plan.data, plan.net, plan.start
    folder = make_run_folder(config)
    write_config(folder, config)
    _save(folder, now)
    console.print(
        f"{net.name} on {data.name}: {len(data.train):,} images to train on, {len(data.test):,} to test with, "
        f"{sum(leaf.size for leaf in jax.tree.leaves(now.params)):,} parameters"
    )
    console.print(f"hardware: {describe_hardware()}")

    # The data set lies on the device as a whole; a dispatch is told which of its images to take.
    images, labels = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)
    test_set = jnp.asarray(data.test.images), jnp.asarray(data.test.labels)
    cuts = range(config.steps_per_dispatch, plan.steps_per_epoch, config.steps_per_dispatch)
    test_batches, is_real = evaluation_batches(len(data.test), config.batch_size)

    # Compile before the clock of the training starts: one program per length of a dispatch, of which there are two.
    compiling = time.perf_counter()
    objective = OBJECTIVES[config.loss or ""]
    steps = steps_in_one_dispatch(training_step(net, objective, plan.optimizer, AUGMENTATIONS[config.augmentation]))
    programs = {}
    for count in {len(part) for part in np.split(np.arange(plan.steps_per_epoch), cuts)}:
        indices = jax.ShapeDtypeStruct((count, config.batch_size), np.int32)
        programs[count] = steps.lower(now, images, labels, indices).compile()
    evaluate = evaluation(net, objective).lower(now.params, now.state, *test_set, test_batches).compile()
    compile_seconds = time.perf_counter() - compiling
    console.print(f"compiled in {compile_seconds:.1f} s")

    metrics: list[dict[str, Any]] = []
    predictions = np.zeros(0)
    try:
        with progress_bar(console, plan.steps_per_epoch * config.epochs) as advance:
            for epoch in range(config.epochs):
                losses: list[float] = []
                correct, rate, clock = 0, 0.0, time.perf_counter()
                batches = training_batches(len(data.train), config.batch_size, seed=config.seed, epoch=epoch)
                for part in np.split(batches, cuts):
                    now, measured = programs[len(part)](now, images, labels, part)
                    fresh = measured.loss.tolist()
                    require_finite(fresh, first_step=epoch * plan.steps_per_epoch + len(losses) + 1)
                    losses += fresh
                    correct += int(measured.correct.sum())
                    rate = len(losses) * config.batch_size / (time.perf_counter() - clock)
                    advance(len(part), loss=losses[-1], images_per_second=rate)

                test_losses, guesses = evaluate(now.params, now.state, *test_set, test_batches)
                test_loss = float(np.asarray(test_losses)[is_real].mean())
                # A step measures the loss before its update; what the epoch's last update did shows only here.
                require_finite([test_loss], first_step=(epoch + 1) * plan.steps_per_epoch)
                predictions = np.asarray(guesses)[is_real]

                line = {
                    "epoch": epoch + 1,
                    "step": (epoch + 1) * plan.steps_per_epoch,
                    "train_loss": sum(losses) / len(losses),
                    "train_accuracy": correct / batches.size,  # of the predictions made on the way
                    "test_loss": test_loss,
                    "test_accuracy": float((predictions == data.test.labels).mean()),
                    "images_per_second": rate,  # while stepping: without compilation, evaluation and saving
                    "compile_seconds": compile_seconds,
                    "seconds": time.perf_counter() - started,
                }
                metrics.append(line)
                append_metrics(folder, line)
                _save(folder, now)
                console.print(epoch_line(line, config.epochs))
                if config.until_converged and converged(
                    [line["train_loss"] for line in metrics], patience=config.patience, tolerance=config.tolerance
                ):
                    console.print(f"converged: {config.patience} epochs in a row without progress")
                    break
    except Diverged:
        if metrics:
            draw_curves(folder / "curves.png", metrics, f"{net.name} on {data.name}, until it diverged")
        raise

    draw_curves(folder / "curves.png", metrics, f"{net.name} on {data.name}")
    title = f"{net.name} on {data.name}: {metrics[-1]['test_accuracy']:.2%} of {len(data.test):,} test images right"
    draw_confusion(folder / "confusion.png", data.test.labels, predictions, data.classes, title)
    return Result(folder, metrics)


def _save(folder: Path, now: TrainState) -> None:
    save_weights(folder / "weights.safetensors", {"params": now.params, "state": now.state})
