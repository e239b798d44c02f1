"""`purecnn export`: a trained net as one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from purecnn.commands import complain


@dataclass(frozen=True)
class Export:
    """Write a trained net to one file."""

    net: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The folder of a run, or a file of weights."""
    out: Path
    """The file to write."""
    format: Literal["auto", "safetensors", "stablehlo", "torchvision"] = "auto"
    """safetensors: the weights, and what they are of. stablehlo: the function from pixels to probabilities, weights and
    all, which JAX runs without purecnn. torchvision: the weights under torchvision's names, as PyTorch loads them.
    auto: stablehlo for a file that ends in .stablehlo, else safetensors."""
    last: bool = False
    """The weights after the run's last epoch instead of the best."""
    force: bool = False
    """Overwrite the file if it exists."""


def run(command: Export) -> int:
    from purecnn.results import exporting
    from purecnn.results.trained import load_trained

    try:
        by_name = "stablehlo" if command.out.suffix == ".stablehlo" else "safetensors"
        form = by_name if command.format == "auto" else command.format
        exporting.require_suffix(command.out, form)
        exporting.require_free(command.out, command.force)
        trained = load_trained(command.net, last=command.last)
        write = {
            "safetensors": exporting.export_weights,
            "stablehlo": exporting.export_stablehlo,
            "torchvision": exporting.export_torchvision,
        }[form]
        write(command.out, trained)
    except (ValueError, FileExistsError, FileNotFoundError) as error:
        return complain(error, 2)
    except (OSError, ImportError) as error:
        return complain(error, 1)
    print(f"{trained.net.name}, {len(trained.metadata.classes)} classes, {form}: {_size(command.out)}")
    return 0


def _size(path: Path) -> str:
    return f"{path}, {path.stat().st_size:,} bytes"
