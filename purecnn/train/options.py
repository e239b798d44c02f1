"""Options as programs give them, and as other tools call them."""

from __future__ import annotations

import os
from typing import Any

CALLED = {  # elsewhere, what is here
    "lr": "learning-rate", "lr0": "learning-rate", "wd": "weight-decay", "bs": "batch-size", "img": "image-size",
    "imgsz": "image-size", "img-size": "image-size", "dataset": "data", "arch": "model", "opt": "optimizer",
    "output": "run-dir", "out-dir": "run-dir", "output-dir": "run-dir", "warmup": "warmup-epochs",
    "smoothing": "label-smoothing", "aug": "augmentation", "amp": "precision", "name": "run-dir", "project": "run-dir",
    "pretrained": "init-weights", "weights": "init-weights", "validation-split": "val-share", "val-split": "val-share",
    "num-epochs": "epochs", "max-epochs": "epochs", "num-train-epochs": "epochs",
}  # fmt: skip

DEVICES = "every device that JAX finds is used; JAX_PLATFORMS=cpu and CUDA_VISIBLE_DEVICES choose"
THREADS = "as many threads decode as there are processors"
NOT_HERE = {
    "device": DEVICES, "devices": DEVICES, "gpu": DEVICES, "gpus": DEVICES, "cuda": DEVICES,
    "shuffle": "images are shuffled anew every epoch; batches come in the order in which they are given",
    "workers": THREADS, "num-workers": THREADS,
}  # fmt: skip
OF_FIT = {  # and of no command
    "validation-data": "val=(images, labels) are those that validate",
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


def as_written(value: Any, *, is_path: bool = False) -> Any:
    """As config.yaml has it: a path as text, with the home folder for ~, and a number of NumPy or JAX as Python's."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    return os.path.expanduser(text) if is_path and isinstance(text, str) and text.startswith("~/") else text
