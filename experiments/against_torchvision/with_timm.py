"""The same nets under timm's names. Importing this needs timm."""

from typing import Any

import timm
import torch

NAMES = {"mobilenet_v2": "mobilenetv2_100"}
VERSIONS = {"timm": timm.__version__}


def net(name: str, classes: int = 1000) -> Any:
    return timm.create_model(NAMES.get(name, name), num_classes=classes)


def shapes(name: str) -> dict[str, list[int]]:
    """The shape of every array of the net, by its name, in the net's order."""
    with torch.device("meta"):
        return {key: list(value.shape) for key, value in net(name).state_dict().items()}
