"""The command `purecnn`. It returns 0 when all went well, 1 when a run failed, 2 when it was asked for wrongly."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from jaxlib.version import __version__ as jaxlib_version

from purecnn.backend import describe_hardware, repair_flag
from purecnn.train.config import Config, Model, require

# One sample of what each model was drawn for, and its number of classes.
CUSTOMARY = {
    "lenet": ((28, 28, 1), 10),
    "alexnet": ((224, 224, 3), 1000),
    "cifar_cnn": ((32, 32, 3), 10),
    "resnet": ((32, 32, 3), 10),
    "mlp": ((28, 28, 1), 10),
}


@dataclass(frozen=True)
class Summary:
    """Print a model layer by layer: units, weights, biases, FLOPs and what it keeps for the backward pass."""

    model: Model = "lenet"
    """The net."""
    input_shape: tuple[int, int, int] | None = None
    """Height, width and channels of an image. None: those the model was drawn for."""
    num_classes: int | None = None
    """None: as many as the model was drawn for."""

    def __post_init__(self):
        shape, classes = self.input_shape, self.num_classes
        require("input_shape", shape, shape is None or all(n >= 1 for n in shape), "three integers, at least 1")
        require("num_classes", classes, classes is None or classes >= 1, "an integer, at least 1")


@dataclass(frozen=True)
class Verify:
    """Check hand-written backward rules; `purecnn verify --help` says how."""


@dataclass(frozen=True)
class Doctor:
    """Say what computes here (versions, devices, flags), and try whether it computes right."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments`, by default those of the process, and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] == ["doctor"]:  # before the repair, so that what it sees is what a program of one's own gets
        return _doctor(arguments[1:])
    # JAX is imported already, but reads this only when it first computes.
    os.environ["XLA_FLAGS"] = repair_flag(jaxlib_version, os.environ.get("XLA_FLAGS", ""))
    warnings.showwarning = lambda message, *rest, **more: print(f"purecnn: warning: {message}", file=sys.stderr)

    if arguments[:1] == ["verify"]:  # a command of its own, with its own options
        from verify.cli import main as verify

        return verify(arguments[1:])
    import tyro

    try:
        command = tyro.extras.subcommand_cli_from_dict(
            {"train": Config, "summary": Summary, "verify": Verify, "doctor": Doctor},
            prog="purecnn",
            description="Convolutional networks with backward rules derived by hand.",
            args=arguments,
        )
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        if isinstance(command, Summary):
            return _summary(command)
        assert isinstance(command, Config)  # the other two have been dealt with
        return _train(command)
    except KeyboardInterrupt:
        return _complain("interrupted; the run folder holds what was saved before", 130)


def _train(config: Config) -> int:
    from rich.console import Console

    from purecnn.train.loop import prepare, train
    from purecnn.train.run_folder import CONTENTS
    from purecnn.train.stopping import Diverged

    started = time.perf_counter()
    console = Console(highlight=False, soft_wrap=True)
    try:
        plan = prepare(config)
    except (ValueError, TypeError) as error:
        return _complain(error, 2)
    try:
        result = train(plan, console)
    except FileExistsError as error:
        return _complain(error, 2)
    except (Diverged, OSError) as error:
        return _complain(error, 1)
    last = result.metrics[-1]
    console.print(
        f"test accuracy {last['test_accuracy']:.2%} after {last['epoch']} epochs, "
        f"{time.perf_counter() - started:.1f} s in all"
    )
    console.print(f"results in {result.folder}{os.sep}")
    for name, what in CONTENTS.items():
        console.print(f"  {name:<20} {what}")
    return 0


def _summary(command: Summary) -> int:
    from purecnn import models

    shape, classes = CUSTOMARY[command.model]
    try:
        net = getattr(models, command.model)(command.num_classes or classes)
        table = net.summary(command.input_shape or shape)
    except (ValueError, TypeError) as error:
        return _complain(error, 2)
    print(table)
    return 0


def _doctor(arguments: Sequence[str]) -> int:
    if arguments:
        return _complain(f"doctor: got {' '.join(arguments)}, expected no arguments", 2)
    import jax

    from verify.canary import canaries

    print(f"hardware: {describe_hardware()}, jaxlib {jaxlib_version}")
    print(f"devices: {', '.join(str(device) for device in jax.devices())}")
    print(f"XLA_FLAGS: {os.environ.get('XLA_FLAGS') or 'none'}")
    for canary in canaries():
        print(canary)
    if all(canary.ok for canary in canaries()):
        print("this backend computes right")
        return 0
    print("this backend computes WRONG numbers; purecnn's other commands set the flag themselves, your programs must")
    return 1


def _complain(error: object, code: int) -> int:
    print(f"purecnn: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
