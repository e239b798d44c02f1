"""`purecnn summary`: the lecture's table for a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from purecnn.commands import complain
from purecnn.models.torchvision import TABLES
from purecnn.train.config import Model, require

# One sample of what each model was drawn for, and its number of classes.
CUSTOMARY = {
    "lenet": ((28, 28, 1), 10),
    "alexnet": ((224, 224, 3), 1000),
    "cifar_cnn": ((32, 32, 3), 10),
    "resnet_cifar": ((32, 32, 3), 10),
    "mlp": ((28, 28, 1), 10),
    **dict.fromkeys(TABLES, ((224, 224, 3), 1000)),
}


@dataclass(frozen=True)
class Summary:
    """Print a model layer by layer: units, weights, biases, FLOPs and bytes of residuals."""

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None
    """The folder of a run, or a file of weights: its net, for its images. None: that of --model."""
    model: Model | str = "lenet"
    """The net; MODULE:FUNCTION is your own: (classes) -> Chain."""
    input_shape: tuple[int, int, int] | None = None
    """Height, width and channels of an image. None: those the model was drawn for; 32 32 3 for your own."""
    num_classes: int | None = None
    """None: as many as the model was drawn for."""


def run(command: Summary) -> int:
    from purecnn.results.trained import load_trained
    from purecnn.train.nets import make_net

    shape, classes = command.input_shape, command.num_classes
    customary_shape, customary_classes = CUSTOMARY.get(command.model, ((32, 32, 3), 10))
    try:
        require("input_shape", shape, shape is None or all(n >= 1 for n in shape), "three integers, at least 1")
        require("num_classes", classes, classes is None or classes >= 1, "an integer, at least 1")
        if shape and shape[0] in (1, 3) and shape[1] == shape[2] > 4:
            raise ValueError(f"input_shape: got {shape}, channels first, expected {shape[1]} {shape[2]} {shape[0]}")
        if command.run is None:
            net = make_net(command.model, classes or customary_classes)
        elif str(command.run) in CUSTOMARY:
            raise ValueError(
                f"run: got {command.run}, expected the folder of a run; did you mean --model {command.run}?"
            )
        else:
            require("num_classes", classes, classes is None, "none beside a run, whose net has its own")
            trained = load_trained(command.run)
            net, customary_shape = trained.net, trained.metadata.input_shape
        table = net.summary(shape or customary_shape)
    except (ValueError, TypeError, OSError) as error:
        return complain(error, 2)
    print(table)
    return 0
