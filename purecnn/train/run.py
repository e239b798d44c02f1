"""One run under way: `step` trains, `evaluate` measures, `end_epoch` logs and keeps weights, `checkpoint` saves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purecnn.backend import describe_hardware
from purecnn.data.batches import evaluation_batches
from purecnn.data.dataset import Split, SplitName
from purecnn.data.mixing import make_mixing
from purecnn.data.stream import Stream
from purecnn.train import checkpoints as saved
from purecnn.train.classifying import normalize
from purecnn.train.compilation import compile_for, loaded_programs
from purecnn.train.devices import Supply, is_first_process, supply, together, wait_for_all
from purecnn.train.dispatching import cut, dispatches
from purecnn.train.objectives import OBJECTIVES, training_objective
from purecnn.train.optimizers import average_of
from purecnn.train.plan import Plan
from purecnn.train.run_folder import append_metrics, write_metrics
from purecnn.train.step import NORMS_EVERY, TrainState, evaluation, steps_in_one_dispatch, training_step
from purecnn.train.stopping import best_line, require_finite
from purecnn.train.streaming import StreamSupply
from purecnn.train.weights import load_weights, save_weights

Part = tuple[Any, Any, Any]  # images and labels on the devices, and the indices (K, N) of K steps into these, or None


def count_of(part: Part) -> int:
    """How many batches it is."""
    _, labels, indices = part
    return len(labels if indices is None else indices)


@dataclass
class Run:
    """What changes during a run, and what it computes with."""

    plan: Plan
    folder: Path
    checkpoints: saved.Manager
    identity: dict[str, Any]
    now: TrainState
    progress: saved.Progress
    since: float  # when the seconds began that progress.seconds lacks
    hardware: str = field(default_factory=describe_hardware)
    steps: int = field(init=False)  # done
    supplies: dict[SplitName, Supply | StreamSupply] = field(default_factory=dict)
    training: dict[int, Any] = field(default_factory=dict)  # programs by the number of steps in a dispatch
    evaluating: dict[tuple[SplitName, int], Any] = field(default_factory=dict)  # by split and number of batches
    compile_seconds: float = 0.0

    def __post_init__(self):
        self.steps = int(self.now.step)

    def compile(self) -> str:
        """Before the clock of the training starts: a program per length of a dispatch, of which there are two at most.

        Returns how long it took, for the console.
        """
        plan, config, everywhere = self.plan, self.plan.config, self.plan.devices.everywhere
        began, kept = time.perf_counter(), loaded_programs()
        self.supplies = {name: self._supply(split) for name, split in plan.data.splits().items()}
        one_step = training_step(
            plan.net,
            training_objective(config, plan.data),
            plan.optimizer,
            lambda key, x: normalize(plan.metadata, plan.augment(key, x)),
            jnp.dtype(config.precision),
            min(NORMS_EVERY, plan.steps_per_epoch),  # at least one in every epoch
            plan.frozen,
            config.freeze_statistics,
            make_mixing(config.mixup, config.cutmix),
        )
        steps = steps_in_one_dispatch(one_step, everywhere)
        epoch, here = np.arange(plan.steps_per_epoch), self.steps % plan.steps_per_epoch
        lengths = {len(part) for row in (0, here) for part in cut(epoch, config, from_row=row)}
        like = self.supplies["train"].like
        self.training = {
            n: compile_for(steps.lower(self.now, *like(n, config.batch_size)), deterministic=config.deterministic)
            for n in sorted(lengths)
        }
        if "val" in self.supplies:
            self._compile_evaluation("val")
        self.compile_seconds = time.perf_counter() - began
        from_disk, programs = loaded_programs() - kept, len(self.training) + len(self.evaluating)
        more = f", {from_disk} of {programs} programs being there from a run before" if from_disk else ""
        return f"compiled in {self.compile_seconds:.1f} s{more}"

    def _supply(self, split: Split | Stream) -> Supply | StreamSupply:
        plan = self.plan
        if isinstance(split, Stream):
            return StreamSupply(split, plan.devices, len(plan.data.classes))
        return supply(split, plan.devices)

    def _compile_evaluation(self, name: SplitName) -> tuple[list[np.ndarray], np.ndarray]:
        """The indices of every dispatch that evaluates a split, for which programs are there afterwards, and which of
        all these are images and not padding."""
        plan, split = self.plan, self.supplies[name]
        batches, is_real = evaluation_batches(len(split.split), plan.config.batch_size)
        parts = [batches] if split.whole is not None else cut(batches, plan.config)
        objective, normalise = OBJECTIVES[plan.config.loss or ""], partial(normalize, plan.metadata)
        program = evaluation(plan.net, objective, plan.devices.everywhere, normalise)
        for n in {len(part) for part in parts} - {n for split, n in self.evaluating if split == name}:
            like = split.like(n, plan.config.batch_size)
            lowered = program.lower(self.now.params, self.now.state, *like)
            self.evaluating[name, n] = compile_for(lowered, deterministic=plan.config.deterministic)
        return parts, is_real

    def parts(self) -> Iterator[Part]:
        """What is left to train on, in its order."""
        samples, config = len(self.plan.data.train), self.plan.config
        return self._supplied("train", dispatches(samples, config, self.steps), self.steps)

    def _supplied(self, name: SplitName, rows: Iterable[np.ndarray], first_step: int | None = None) -> Iterator[Part]:
        """A part for each of `rows`, once every process has its own. Raises `Refused` for what cannot be read."""
        parts = self.supplies[name].parts(rows, first_step)
        while (part := together(lambda: next(parts, None))) is not None:
            yield part

    def step(self, part: Part, began: float) -> list[float]:
        """Take the K steps of `part`, which was asked for at `began`; the loss of each. Raises `Diverged`."""
        self.now, measured = self.training[count_of(part)](self.now, *part)
        losses = measured.loss.tolist()
        require_finite(losses, first_step=self.steps + 1, images=part[0])
        self.steps += len(losses)
        progress = self.progress
        progress.losses += losses
        progress.correct += int(measured.correct.sum())
        progress.norms += [norms for norms in measured.norms.tolist() if norms[0] >= 0]
        progress.stepping += time.perf_counter() - began
        return losses

    @property
    def rate(self) -> float:
        """Images a second in this epoch, while stepping: without compilation, evaluation and saving."""
        return len(self.progress.losses) * self.plan.config.batch_size / self.progress.stepping

    @property
    def is_at_epochs_end(self) -> bool:
        return self.steps % self.plan.steps_per_epoch == 0

    @property
    def lacks_a_line(self) -> bool:
        """Whether an epoch is trained and not yet validated, as where an image to validate could not be read."""
        return self.steps // self.plan.steps_per_epoch > len(self.progress.metrics)

    def evaluate(self, name: SplitName, params: Any = None, state: Any = None) -> tuple[float, np.ndarray]:
        """The mean loss of a split's images, and the class each is predicted as; with weights other than the newest."""
        params, state = self.weights() if params is None else (params, state)
        parts, is_real = self._compile_evaluation(name)
        supplied = self._supplied(name, parts)
        # Each is waited for: what is only begun keeps its images in memory.
        found = [jax.device_get(self.evaluating[name, count_of(part)](params, state, *part)) for part in supplied]
        losses, guesses = (np.concatenate([each[i] for each in found]) for i in (0, 1))
        return float(losses[is_real].mean()), guesses[is_real]

    def measure(self, name: SplitName, params: Any = None, state: Any = None) -> tuple[dict[str, float], np.ndarray]:
        """{"NAME_loss", "NAME_accuracy"} of a split, and the predictions."""
        loss, predictions = self.evaluate(name, params, state)
        accuracy = float((predictions == self.plan.data.split(name).labels).mean())
        return {f"{name}_loss": loss, f"{name}_accuracy": accuracy}, predictions

    def end_epoch(self) -> dict[str, Any]:
        """Validate, keep the weights, and write the epoch's line of metrics.jsonl, which is returned.

        Raises `Diverged` if the validation loss is not finite.
        """
        plan, progress = self.plan, self.progress
        trained = [i for i, each in enumerate(self.now.params) if jax.tree.leaves(each) and i not in plan.frozen]
        layers = [f"{i} {plan.net.layers[i].name}" for i in trained]
        line = {
            "epoch": self.steps // plan.steps_per_epoch,
            "step": self.steps,
            "train_loss": sum(progress.losses) / len(progress.losses),
            # of the predictions made on the way
            "train_accuracy": progress.correct / (plan.steps_per_epoch * plan.config.batch_size),
            "gradient_norms": dict(zip(layers, np.mean(progress.norms, axis=0).tolist(), strict=True)),
        }
        if plan.data.val is not None:
            line |= self.measure("val")[0]
            # A step measures the loss before its update; what the epoch's last update did shows only here.
            require_finite([line["val_loss"]], first_step=self.steps)
        line |= {
            "images_per_second": self.rate,
            "compile_seconds": self.compile_seconds,
            "hardware": self.hardware,
            "seconds": progress.seconds + time.perf_counter() - self.since,
        }
        progress.metrics.append(line)
        progress.losses, progress.norms, progress.correct, progress.stepping = [], [], 0, 0.0
        together(lambda: self._keep(line))
        return line

    def _keep(self, line: dict[str, Any]) -> None:
        """The weights of the epoch that ends with this line, and the line."""
        self.save_weights("weights.safetensors")
        if best_line(self.progress.metrics) is line:
            self.save_weights("best.safetensors")
        if is_first_process():
            append_metrics(self.folder, line)

    def weights(self) -> tuple[Any, Any]:
        """The newest that are evaluated and kept, and the state: of the weights their average, where one is kept."""
        average = average_of(self.now.opt_state)
        return (self.now.params if average is None else average), self.now.state

    def save_weights(self, name: str) -> None:
        if is_first_process():
            params, state = self.weights()
            save_weights(self.folder / name, {"params": params, "state": state}, self.plan.metadata.header())

    def rewrite_metrics(self) -> None:
        """As the checkpoint has them: no epoch twice, none missing."""
        if is_first_process():
            write_metrics(self.folder, self.progress.metrics)

    def checkpoint(self) -> None:
        """Raises OSError if it cannot be written."""
        self.progress.seconds += time.perf_counter() - self.since
        self.since = time.perf_counter()
        saved.save(self.checkpoints, self.now, self.progress, self.identity)

    def saved(self) -> str:
        """Save what was trained by now, and say which step is saved."""
        if self.steps > (self.checkpoints.latest_step() or 0):
            self.checkpoint()
        step = self.checkpoints.latest_step()
        return "nothing is saved yet" if step is None else f"step {step:,} is saved"

    def best_weights(self) -> tuple[Any, Any]:
        """Parameters and state of the best epoch, from their file, on the devices."""
        wait_for_all("best.safetensors is written")
        like = {"params": self.now.params, "state": self.now.state}
        file = self.folder / "best.safetensors"
        if not file.is_file():
            best = best_line(self.progress.metrics)["epoch"]
            raise FileNotFoundError(f"{file}: there is no such file, with the weights of epoch {best}; put it back")
        best = load_weights(file, like)
        placed = jax.tree.map(lambda leaf: self.plan.devices.replicate(np.asarray(leaf)), best)
        return placed["params"], placed["state"]
