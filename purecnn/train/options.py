"""Options as programs give them, and as other tools call them."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
TABLE = "the path of a table, or None; arrays come with their images: (images, labels)"
SHOWN = 80  # signs of a value, in an error
PATIENT = "true or false; patience says after how many epochs"
FLAGS = {
    "until_converged": PATIENT, "early_stopping": PATIENT,
    **dict.fromkeys(("freeze_statistics", "skip_unreadable", "deterministic"), "true or false"),
}  # fmt: skip
FLAG = re.compile(r"--([a-z]+(?:-[a-z]+)*)( (?!says|leaves|names|takes|reads))?")
CALLED = {  # elsewhere, what is here
    "lr": "learning-rate", "lr0": "learning-rate", "wd": "weight-decay", "bs": "batch-size", "img": "image-size",
    "imgsz": "image-size", "img-size": "image-size", "dataset": "data", "arch": "model", "opt": "optimizer",
    "output": "run-dir", "out-dir": "run-dir", "output-dir": "run-dir", "warmup": "warmup-epochs",
    "smoothing": "label-smoothing", "aug": "augmentation", "amp": "precision", "name": "run-dir", "project": "run-dir",
    "pretrained": "init-weights", "weights": "init-weights", "validation-split": "val-share", "val-split": "val-share",
    "num-epochs": "epochs", "max-epochs": "epochs", "num-train-epochs": "epochs", "class-weight": "class-weights",
    "fp16": "precision", "bf16": "precision", "mixed-precision": "precision", "save-period": "checkpoint-every",
    "lr-scheduler": "schedule", "sched": "schedule", "train-dir": "data-dir", "val-dir": "data-dir",
    "test-dir": "data-dir", "dataset-dir": "data-dir", "data-path": "data-dir", "csv": "labels", "csv-file": "labels",
    "freeze-backbone": "freeze", "grad-accum-steps": "accumulate", "gradient-accumulation-steps": "accumulate",
    "ema-decay": "ema", "model-ema": "ema", "ckpt": "init-weights", "checkpoint": "init-weights",
    "random-seed": "seed", "log-dir": "run-dir", "logger": "log", "tensorboard": "log", "clip-grad": "clip-norm",
    "transforms": "augmentation", "augment": "augmentation", "balanced": "class-weights",
    "weighted-sampler": "class-weights", "sampler": "class-weights", "oversample": "class-weights",
    "balance-classes": "class-weights", "data-root": "data-dir", "root": "data-dir", "image-dir": "data-dir",
    "images": "data-dir", "input": "data-dir", "model-name": "model", "net": "model", "backbone": "model",
    "architecture": "model", "input-size": "image-size", "crop-size": "image-size", "resolution": "image-size",
    "size": "image-size", "criterion": "loss", "loss-fn": "loss", "scheduler": "schedule", "l2": "weight-decay",
    "save-dir": "run-dir", "out": "run-dir", "wandb": "log", "grad-clip": "clip-norm",
    "steps": "epochs", "max-steps": "epochs", "batch": "batch-size", "train-batch-size": "batch-size",
    "early-stop": "early-stopping", "cache": "streaming", "warmup-steps": "warmup-epochs", "nesterov": "optimizer",
    "mixup-alpha": "mixup", "cutmix-alpha": "cutmix", "auto-augment": "augmentation", "aa": "augmentation",
    "hflip": "augmentation", "fliplr": "augmentation", "reprob": "augmentation", "color-jitter": "augmentation",
}  # fmt: skip

DEVICES = "every device that JAX finds is used; JAX_PLATFORMS=cpu and CUDA_VISIBLE_DEVICES choose"
THREADS = "as many threads decode as there are processors"
COUNTED = "the images say how many there are"
SAVED = "the best and the last weights are kept, whatever else"
AFRESH = "a folder with something in it is never written to; name a new --run-dir, or --resume"
NET = "the net says it; --model MODULE:FUNCTION takes one of your own"
RESUMED = "--run-dir RUN --resume goes on with a run"
UNSPLIT = "folders train, val and test are taken as they are; else a fifth of every class tests, --val-share validates"
PIXELS = "pixels are in [0, 1]; those of --init-weights less its mean, over its deviation"
GREY = "one channel where every image is grey, else three"
LAST = "none is left out: the last batch is filled up with images of the same epoch"
PRINTED = "--quiet prints errors alone; --json-lines prints the metrics"
NOT_HERE = {
    "num-classes": COUNTED, "nb-classes": COUNTED, "classes": COUNTED, "channels": COUNTED, "in-chans": COUNTED,
    "save-best-only": SAVED, "save-best": SAVED, "exist-ok": AFRESH, "overwrite": AFRESH, "force": AFRESH,
    "dropout": NET, "drop": NET, "drop-path": NET, "verbose": PRINTED, "multi-gpu": DEVICES, "num-gpus": DEVICES,
    **dict.fromkeys(("test-split", "test-size", "train-split", "train-size", "split-ratio"), UNSPLIT),
    **dict.fromkeys(("cfg", "config-file", "yaml", "hparams"), "--config takes a file of options"),
    **dict.fromkeys(("mean", "std", "normalize", "rescale"), PIXELS), "drop-last": LAST,
    **dict.fromkeys(("color-mode", "grayscale", "greyscale"), GREY),
    **dict.fromkeys(("cpu", "no-cuda", "no-gpu", "use-gpu", "use-cuda", "accelerator"), DEVICES),
    "device": DEVICES, "devices": DEVICES, "gpu": DEVICES, "gpus": DEVICES, "cuda": DEVICES,
    "shuffle": "images are shuffled anew every epoch; batches come in the order in which they are given",
    "resume-from": RESUMED, "resume-from-checkpoint": RESUMED, "auto-resume": RESUMED, "workers": THREADS,
    "num-workers": THREADS,
}  # fmt: skip
OF_FIT = {  # and of no command
    "validation-data": "val=(images, labels) are those that validate",
    "metrics": "loss and accuracy are measured, in metrics.jsonl; purecnn eval has more",
    "verbose": "console=rich.console.Console(quiet=True) prints nothing",
    "callbacks": "on_epoch=function is called with the line of every epoch",
}


def known_elsewhere(name: str, *, in_shell: bool = False) -> str:
    """What stands here for an option of another tool, at the end of an error, as `fit` spells it or a shell.

    "" where none is known. What only `fit` has is no hint for a shell.
    """
    called = name.replace("_", "-")
    if called in CALLED:
        meant = CALLED[called]
        return f", did you mean {f'--{meant}' if in_shell else meant.replace('-', '_')}?"
    instead = NOT_HERE if in_shell else NOT_HERE | OF_FIT
    return f": {instead[called]}" if called in instead else ""


def shown(value: Any) -> str:
    """A value as an error shows it: in one line, and not the middle of an array, a function or a long path."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}…{text[-SHOWN // 2 :]}"


_in_shell: ContextVar[bool] = ContextVar("in_shell", default=False)


@contextmanager
def in_shell() -> Iterator[None]:
    """Inside, errors of `fit` name options as the command line has them."""
    token = _in_shell.set(True)
    try:
        yield
    finally:
        _in_shell.reset(token)


def named_as_in_python(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose errors name options as its caller writes them: image_size=N, not --image-size N."""

    @functools.wraps(function)
    def called(*args: P.args, **options: P.kwargs) -> R:
        try:
            return function(*args, **options)
        except (ValueError, TypeError, FileExistsError) as error:
            if not _in_shell.get() and len(error.args) == 1 and isinstance(error.args[0], str):
                error.args = (in_python(error.args[0], "data_dir" if "data_dir" in options else "data"),)
            raise

    return called


def in_python(text: str, place: str = "data") -> str:
    """An error whose options are named as arguments of `fit`; the one of the images is called `place` there."""

    def as_argument(found: re.Match) -> str:
        name, value = found[1].replace("-", "_"), found[2]
        name = place if name == "data_dir" else name
        return f"{name}=True{value or ''}" if name in (*FLAGS, "resume") else f"{name}=" if value else name

    return text if "purecnn train" in text else FLAG.sub(as_argument, text)


def as_written(value: Any, *, is_path: bool = False) -> Any:
    """As config.yaml has it: a path as text, with the home folder for ~, and a number of NumPy or JAX as Python's."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        with suppress(NotImplementedError):  # a random key of JAX is no number
            return value.item()
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    return os.path.expanduser(text) if is_path and isinstance(text, str) and text.startswith("~/") else text
