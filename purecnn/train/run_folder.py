"""The folder of one run. Another run never overwrites it."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
import shlex
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

import purecnn
from purecnn.train.config import PATHS, RENAMED, Config, require
from purecnn.train.options import known_elsewhere
from purecnn.train.weights import write_whole

CONTENTS = {
    "config.yaml": "what was run, every default filled in",
    "metrics.jsonl": "loss, accuracy and speed, one line per epoch",
    "best.safetensors": "the weights after the epoch with the highest val accuracy",
    "weights.safetensors": "the weights after the last epoch",
    "test.json": "loss and accuracy of the test images with the best weights",
    "checkpoints": "what --resume goes on from",
    "curves.png": "loss and accuracy over the epochs",
    "confusion.png": "which class was predicted as which",
    "gradients.png": "every layer's gradient norm over the epochs",
    "worst.png": "the test images that the net is least sure of",
    "filters.png": "the kernels of the first layer",
    "report.html": "all of this on one page",
    "events": "the metrics for tensorboard --logdir",
    "skipped.txt": "files that were left out, and why",
}


def resume_command(folder: Path) -> str:
    """The command that resumes the run in `folder`, as a shell takes it."""
    return f"purecnn train --run-dir {shlex.quote(str(folder))} --resume"


def make_run_folder(config: Config) -> Path:
    """A new folder, or an empty one that is there: `config.run_dir`, or the next free runs/MODEL-DATA-NUMBER.

    Raises FileExistsError, and touches nothing, if there is something at `config.run_dir` already.
    """
    if config.run_dir is not None:
        folder = Path(config.run_dir)
        require("run_dir", config.run_dir, is_utf8(os.path.abspath(folder)), "a path in UTF-8, as checkpoints need")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            lost = (folder / "metrics.jsonl").is_file()  # which only a run writes
            more = "its config.yaml is missing, put it back to resume; or " if lost else ""
            more = "resume it with --resume, or " if has_config(folder) else more
            raise FileExistsError(f"run_dir: {folder} exists already and is left as it is; {more}{AFRESH}")
        above = next((place for place in folder.parents if place.is_file()), None)
        require("run_dir", config.run_dir, above is None, f"a path below folders; {above} is a file")
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    number = 1
    while True:
        model = re.sub(r"[^\w.-]+", "-", config.model).strip("-")  # a colon is no sign for a folder everywhere
        folder = Path("runs") / f"{model}-{config.data}-{number}"
        try:
            folder.mkdir(parents=True)  # mkdir is what decides, so two runs started at once get two folders
            return folder
        except FileExistsError:
            number += 1


def is_utf8(path: str) -> bool:
    """Of a path as Python has it: bytes that are no UTF-8 are lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in path)


AFRESH = "name a new folder"


def has_config(folder: Path) -> bool:
    """Whether a run was begun in `folder`: its config is the first thing written, and whole or not there."""
    return (folder / "config.yaml").is_file()


def no_run(folder: Path) -> str:
    """That there is none to resume, and which one beside it may be meant."""
    beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
    near = difflib.get_close_matches(folder.name, [run.name for run in beside if has_config(run)], n=1)
    hint = f"; did you mean {folder.parent / near[0]}?" if near else ""
    return f"there is no run to resume in {folder}{hint}"


def require_checkpoints(folder: Path) -> None:
    """Raise ValueError where epochs were trained and their checkpoints taken away: to begin anew would undo them."""
    metrics = folder / "metrics.jsonl"
    if metrics.is_file() and metrics.stat().st_size and not (folder / "checkpoints").is_dir():
        raise ValueError(f"{folder / 'checkpoints'}: there is no such folder to resume from; a new run may begin with "
                         f"--init-weights {shlex.quote(str(folder))}")  # fmt: skip


def write_config(folder: Path, config: Config) -> None:
    """With whole paths, so that the run is evaluated and resumed from any working directory."""
    whole = {
        name: os.path.abspath(path)
        for name in ("data_dir", "labels", "init_weights")
        if (path := getattr(config, name))
    }
    write_whole(folder / "config.yaml", config_text(dataclasses.replace(config, **whole)).encode())


def config_text(config: Config) -> str:
    """As YAML, without run_dir: a folder may be moved, and running its config again must not aim at it."""
    fields = {name: value for name, value in dataclasses.asdict(config).items() if name != "run_dir"}
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which knows 1.0e-3 as a number but not 1e-3: YAML 1.2 does, and so does everybody.

    A name that is given twice is an error: PyYAML takes the last.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [name.value for name, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.YAMLError(f"{name} is given twice")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789")
)


def read_config(path: Path) -> Config:
    """Of a run folder, or of a file like its config.yaml. Raises ValueError, naming file and field, or OSError."""
    newer = f"; a newer purecnn may have written it, this is {purecnn.__version__}" if path.is_dir() else ""
    path = path / "config.yaml" if path.is_dir() else path
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        fields = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a safe one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        windows = "; a path with \\ is written without quotes, or in single ones" if "escape" in str(error) else ""
        raise ValueError(f"{path}: is not valid YAML: {' '.join(str(error).split())}{windows}") from None
    try:
        require("the file", fields, isinstance(fields, dict), "lines of NAME: VALUE")
        if unknown := unknown_option(fields):
            raise ValueError(f"{unknown}{newer}")
        for name, value in fields.items():
            fields[name] = None if value == "None" else value  # as --help spells it
            shell = name in PATHS and isinstance(value, str) and value.startswith("$")
            require(name, value, not shell, "a path: variables are a shell's; ~ is the home folder")
        if isinstance(fields.get("model"), str):
            fields["model"] = RENAMED.get(fields["model"], fields["model"])
        return Config(**fields)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def unknown_option(names: Iterable[Any]) -> str:
    """Of the first name that no option of a run has: which is meant, or which there are. "" if all are known."""
    known = [field.name for field in dataclasses.fields(Config)]
    for name in map(str, names):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]}?" if near else f", expected some of {', '.join(known)}"
            return f"got the unknown name {name!r}{known_elsewhere(name) or hint}"
    return ""


def write_metrics(folder: Path, lines: list[dict[str, Any]]) -> None:
    """All lines anew, so that a run resumed from a checkpoint has none twice and lacks none."""
    write_whole(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())


def append_metrics(folder: Path, line: dict[str, Any]) -> None:
    try:
        with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:  # of a full disk it names no file
        raise OSError(error.errno, error.strerror, str(folder / "metrics.jsonl")) from None


def write_skipped(folder: Path, skipped: tuple[str, ...]) -> None:
    """One line a file that `--skip-unreadable` left out; nothing where there is none."""
    if skipped:
        write_whole(
            folder / "skipped.txt", "".join(f"{line}\n" for line in skipped).encode("utf-8", "backslashreplace")
        )


def write_test(folder: Path, found: dict[str, Any]) -> None:
    write_whole(folder / "test.json", (json.dumps(found) + "\n").encode())


def read_test(folder: Path) -> dict[str, Any] | None:
    """What `write_test` wrote; None while a run is not over, or where there is nothing to test with.

    Raises ValueError, naming the file, where it is damaged.
    """
    file = folder / "test.json"
    try:
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    except ValueError:
        again = "purecnn train --run-dir RUN --resume writes it again"
        raise ValueError(f"{file}: is damaged, expected a JSON object; {again}") from None


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Raises FileNotFoundError, or ValueError naming the file and the line that is damaged.

    A last line without an end, as a full disk or a crash leaves it, is left out, with a warning.
    """
    file, found = folder / "metrics.jsonl", []
    if not file.is_file():
        again = "purecnn train --run-dir RUN --resume writes it again"
        raise FileNotFoundError(f"{file}: there is no such file; {again}")
    text = file.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        try:
            found.append(json.loads(line))
        except ValueError:
            if not line.endswith("\n"):
                warnings.warn(f"{file}: line {number} was not written to its end and is left out", stacklevel=2)
                break
            raise ValueError(f"{file}: line {number}: got {line.strip()[:40]!r}, expected a JSON object") from None
    return found
