"""`purecnn import-weights`: a net as torchvision or timm keeps it, for this library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from purecnn.commands import complain
from purecnn.models.torchvision import TABLES


@dataclass(frozen=True)
class ImportWeights:
    """Convert a file of weights with torchvision's names, or timm's, to one that purecnn reads."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The net's `state_dict()`, saved by safetensors or torch.save (.pth, .pt or .bin; needs PyTorch)."""
    model: Literal[*TABLES]  # type: ignore[reportInvalidTypeForm]
    """The net; alexnet_one_tower is torchvision's alexnet."""
    out: Path
    """The file to write; `purecnn predict` and `purecnn export` take it where they take a run."""
    classes: Path | None = None
    """A text file with the name of every class, one per line. None: classes are named by their numbers."""
    pixel_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean of red, green and blue in [0, 1], subtracted before the net; torchvision's by default."""
    pixel_std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Standard deviation, by which the difference is divided."""
    force: bool = False
    """Overwrite the file if it exists."""


def run(command: ImportWeights) -> int:
    from purecnn.results.exporting import export_weights, import_torchvision, read_names, require_free, require_suffix
    from purecnn.train.config import require

    try:
        require("pixel_std", command.pixel_std, min(command.pixel_std) > 0, "three numbers above 0")
        require_suffix(command.out, "safetensors")
        require_free(command.out, command.force)
        names = None if command.classes is None else read_names(command.classes)
        trained = import_torchvision(command.model, command.file, names, mean=command.pixel_mean, std=command.pixel_std)
        export_weights(command.out, trained)
    except (ValueError, FileExistsError, FileNotFoundError) as error:
        return complain(error, 2)
    except OSError as error:
        return complain(error, 1)
    print(f"{trained.net.name}, {len(trained.metadata.classes)} classes: {command.out}")
    return 0
