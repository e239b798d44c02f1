"""`purecnn predict`: the classes that a trained net predicts for image files."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from purecnn.commands import complain, for_json
from purecnn.data.guards import printable


@dataclass(frozen=True)
class Predict:
    """Print the most probable classes of image files; the exit code is 1 if some could not be read."""

    net: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The folder of a run, or a file of weights."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
    """Files, and folders of them; converted to the net's size and channels as by `--data folder`."""
    top: int = 3
    """How many classes to name."""
    last: bool = False
    """The weights after the run's last epoch instead of the best."""
    max_megapixels: int = 64
    """Larger images are refused, in millions of pixels; JPEGs are read smaller and may have any size."""
    json: bool = False
    """Print one JSON object per line."""


def run(command: Predict) -> int:
    with for_json(command.json) as out:
        return _run(command, out)


def _run(command: Predict, out: Any) -> int:
    from purecnn.results.prediction import image_files, predict
    from purecnn.results.trained import load_trained
    from purecnn.train.config import require
    from purecnn.train.run_folder import has_config

    failed = 0
    try:
        require("top", command.top, command.top >= 1, "an integer, at least 1")
        if not command.images:
            is_net = has_config(command.net) or command.net.suffix == ".safetensors"
            behind = f"; purecnn predict RUN {shlex.quote(str(command.net))} has a net before them"
            hint = behind if command.net.exists() and not is_net else ""
            raise ValueError(f"images: got none behind {command.net}, expected files or folders{hint}")
        trained, files = load_trained(command.net, last=command.last), image_files(command.images)
        for one in predict(trained, files, command.top, command.max_megapixels):
            if one.error is not None:
                failed += 1
                print(f"purecnn: {one.error}", file=sys.stderr)
            if command.json:
                top = [{"class": name, "probability": share} for name, share in one.top]
                found = {"error": one.error} if one.error else {"top": top}
                print(json.dumps({"file": str(one.file)} | found), file=out)
            elif one.error is None:
                print(printable(f"{one.file}: ") + ", ".join(f"{name} {share:.2%}" for name, share in one.top))
    except (ValueError, OSError) as error:
        return complain(error, 2)
    return complain(f"{failed} could not be read", 1) if failed else 0
