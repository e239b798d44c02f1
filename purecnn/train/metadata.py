"""The metadata of a file of weights, so that it can be used without the run and the data that it came from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

import purecnn
from purecnn.train.options import shown
from purecnn.train.weights import import_hint, not_safetensors

KEY = "purecnn"


@dataclass(frozen=True)
class ModelMetadata:
    """The net, what it was trained on, and how an image becomes its input: (pixel − mean) / std, pixels in [0, 1]."""

    model: str
    loss: str
    data: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    pixel_mean: tuple[float, ...] = (0.0,)  # one for all channels, or one each
    pixel_std: tuple[float, ...] = (1.0,)
    background: str = "auto"  # these two as purecnn.data.image_file.Decoding has them
    white: int = 2**16 - 1

    def header(self) -> dict[str, str]:
        """For the header of a safetensors file. One entry: of several, safetensors writes another order every time."""
        fields = dataclasses.asdict(self) | {"version": purecnn.__version__}
        return {KEY: json.dumps(fields, ensure_ascii=False)}


def require_distinct(classes: Sequence[str], where: str = "classes") -> None:
    """Raise ValueError for a class that is named twice."""
    for name in classes:
        if classes.count(name) > 1:
            raise ValueError(f"{where}: got {name!r} twice, expected a name for each")


def read_model_metadata(path: Path | str) -> ModelMetadata:
    """Raises OSError, or ValueError if the file is not a safetensors file or was not saved by purecnn."""
    open(path, "rb").close()  # safetensors says of a file that may not be read that it is not there
    try:
        with safe_open(path, framework="numpy") as file:
            found = file.metadata() or {}
    except SafetensorError as error:
        known = f"{not_safetensors(path, error)}, or the folder of a run"
        raise ValueError(f"{path}: {known}{import_hint(path)}") from error
    try:
        fields: dict[str, Any] = json.loads(found[KEY])
        fields.pop("version")
        return ModelMetadata(**{name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()})  # type: ignore
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        got = shown(found) if found else "none"
        raise ValueError(
            f"{path}: metadata: got {got}, expected weights saved by purecnn{import_hint(path)}"
        ) from error
