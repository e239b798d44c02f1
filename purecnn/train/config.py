"""What a run is made from. A run folder holds one as config.yaml; the command line is generated from it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

Model = Literal["lenet", "alexnet", "cifar_cnn", "resnet", "mlp"]
Data = Literal["digits"]
Optimizer = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "cosine"]
Augmentation = Literal["none", "warp"]
Loss = Literal["softmax_cross_entropy", "squared_error"]


@dataclass(frozen=True)
class Config:
    """Train a model and keep the results in a folder of their own."""

    model: Model = "lenet"
    """The net; mlp is the lecture's two-layer sigmoid net."""
    data: Data = "digits"
    """The images; digits are scikit-learn's, 8×8 pixels, and need no download."""
    epochs: int = 60
    """Passes over the training set, at most."""
    batch_size: int = 32
    """Images per step."""
    optimizer: Optimizer = "sgd"
    """sgd is the lecture's, with momentum."""
    learning_rate: float = 0.02
    """The step size γ, that of the first step where there is a schedule."""
    momentum: float = 0.9
    """Of sgd; 0 is w ← w − γ ∂L/∂w."""
    weight_decay: float = 0.001
    """Adds this share of every kernel to its gradient (adamw: to its update); biases are left alone."""
    schedule: Schedule = "cosine"
    """How the learning rate goes on: cosine falls to 0 at the last epoch."""
    loss: Loss | None = None
    """None: squared_error for mlp, as in the lecture, softmax_cross_entropy for the others."""
    augmentation: Augmentation = "warp"
    """What is done to training images: warp turns, stretches and moves each a little, anew every time."""
    until_converged: bool = False
    """Stop before the last epoch once the training loss has settled."""
    patience: int = 5
    """Settled: in this many epochs …"""
    tolerance: float = 0.001
    """… the loss fell by no more than this share of itself."""
    steps_per_dispatch: int = 64
    """Steps the device does at one go before it reports; the result is the same."""
    seed: int = 0
    """Of the initial weights, the order of the images, augmentation and dropout. The test images stay the same."""
    run_dir: str | None = None
    """A new folder for the results. None: the next free runs/MODEL-DATA-NUMBER."""

    def __post_init__(self):
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            require(name, value, value in choices, "one of " + ", ".join(map(str, choices)))
        for name, (kind, allowed, expected) in NUMBERS.items():
            value = getattr(self, name)
            is_number = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
            require(name, value, is_number and allowed(value), expected)
        require("until_converged", self.until_converged, isinstance(self.until_converged, bool), "true or false")
        path = self.run_dir
        require("run_dir", path, path is None or (isinstance(path, str) and path.strip() != ""), "a path or None")


CHOICES = {
    "model": get_args(Model),
    "data": get_args(Data),
    "optimizer": get_args(Optimizer),
    "schedule": get_args(Schedule),
    "loss": (*get_args(Loss), None),
    "augmentation": get_args(Augmentation),
}
NUMBERS: dict[str, tuple[Any, Any, str]] = {
    "epochs": (int, lambda v: v >= 1, "an integer, at least 1"),
    "batch_size": (int, lambda v: v >= 1, "an integer, at least 1"),
    "learning_rate": (int | float, lambda v: v > 0, "a finite number above 0"),
    "momentum": (int | float, lambda v: 0 <= v < 1, "a number from 0 up to, but not, 1"),
    "weight_decay": (int | float, lambda v: v >= 0, "a finite number, at least 0"),
    "patience": (int, lambda v: v >= 1, "an integer, at least 1"),
    "tolerance": (int | float, lambda v: 0 <= v < 1, "a number from 0 up to, but not, 1"),
    "steps_per_dispatch": (int, lambda v: v >= 1, "an integer, at least 1"),
    "seed": (int, lambda v: 0 <= v < 2**32, "an integer from 0 to 4294967295"),
}


def require(name: str, value: Any, ok: bool, expected: str) -> None:
    if not ok:
        raise ValueError(f"{name}: got {value!r}, expected {expected}")


def resolved(config: Config) -> Config:
    """With every default that depends on other fields filled in."""
    if config.loss is not None:
        return config
    return dataclasses.replace(config, loss="squared_error" if config.model == "mlp" else "softmax_cross_entropy")
