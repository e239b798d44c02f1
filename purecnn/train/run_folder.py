"""The folder of one run. It is made once, and never written over by another run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import yaml

from purecnn.train.config import Config

CONTENTS = {
    "config.yaml": "what was run, every default filled in",
    "metrics.jsonl": "loss, accuracy and speed, one line per epoch",
    "weights.safetensors": "the weights after the last epoch",
    "curves.png": "loss and accuracy over the epochs",
    "confusion.png": "which class was taken for which",
}


def make_run_folder(config: Config) -> Path:
    """A new folder, or an empty one that is there: `config.run_dir`, or the next free runs/MODEL-DATA-NUMBER.

    Raises FileExistsError, and touches nothing, if there is something at `config.run_dir` already.
    """
    if config.run_dir is not None:
        folder = Path(config.run_dir)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileExistsError(f"run_dir: {folder} exists already and is left as it is; name a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    number = 1
    while True:
        folder = Path("runs") / f"{config.model}-{config.data}-{number}"
        try:
            folder.mkdir(parents=True)  # mkdir is what decides, so two runs started at once get two folders
            return folder
        except FileExistsError:
            number += 1


def write_config(folder: Path, config: Config) -> None:
    """config.yaml, without run_dir: a folder may be moved, and running its config again must not aim at it."""
    fields = {name: value for name, value in dataclasses.asdict(config).items() if name != "run_dir"}
    (folder / "config.yaml").write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")


def read_config(folder: Path) -> Config:
    return Config(**yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))


def append_metrics(folder: Path, line: dict[str, Any]) -> None:
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
