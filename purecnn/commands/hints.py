"""What subcommands and options of other tools are called here, and options with one dash in the place of two."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from purecnn.train.options import DEVICES, known_elsewhere

SUBCOMMANDS = {
    "test": "eval", "val": "eval", "validate": "eval", "evaluate": "eval", "score": "eval", "metrics": "eval",
    "infer": "predict", "inference": "predict", "classify": "predict", "detect": "predict", "run": "predict",
    "fit": "train", "finetune": "train", "fine-tune": "train", "resume": "train", "tune": "train",
    "convert": "export", "save": "export", "serve": "export", "deploy": "export", "onnx": "export",
    "import": "import-weights", "load": "import-weights", "models": "summary", "list": "summary", "info": "summary",
    "describe": "summary", "download": "data", "fetch": "data", "show": "data", "check": "doctor", "env": "doctor",
}  # fmt: skip

OF_RUN = ("run", "run-dir", "model", "weights", "ckpt", "checkpoint", "net", "model-path", "checkpoint-path")
OUTPUT = (
    "output", "save", "csv", "save-dir", "output-dir", "output-file", "save-csv", "out-file", "out-dir", "outdir",
    "results", "results-file", "results-dir",
)  # fmt: skip
RUN = "expected RUN, the folder of a run or a file of weights, without an option"
PRINTED = "expected none: all goes to stdout, with --json for programs; > FILE keeps it"
OUT = "expected --out FILE"
SIZE = "expected none: images are brought to the size of the net"
AT_ONCE = "expected none: 128 images are taken at a time"
TOP = "expected none: --top and --json print the probabilities"
SHAPE = "expected --input-shape HEIGHT WIDTH CHANNELS"
ALL = "expected none: all that is known is printed, with --json for programs"
BY_PATH = {  # where a path stands for the data: what a file of this suffix is
    **dict.fromkeys(
        (".yaml", ".yml"), "a folder of images, --data folder --data-dir DIR; --config {} takes a run's options"
    ),
    **dict.fromkeys((".csv", ".tsv"), "a folder of images and its table: --data folder --data-dir DIR --labels {}"),
    **dict.fromkeys(
        (".json", ".jsonl", ".xlsx", ".xls", ".txt"),
        "a folder of images and its table, as CSV: --data folder --data-dir DIR --labels FILE.csv",
    ),
    **dict.fromkeys(
        (".safetensors", ".pth", ".pt", ".ckpt", ".onnx"),
        "a folder of images: --data folder --data-dir DIR; --init-weights begins with weights, --model names a net",
    ),
    ".py": "a folder of images: --data folder --data-dir DIR; --model MODULE:FUNCTION is a net of {}",
}

JUDGING = {  # of predict and eval
    **dict.fromkeys(OF_RUN, RUN), "batch-size": AT_ONCE, "batch": AT_ONCE,
    **dict.fromkeys((*OUTPUT, "out", "format", "save-txt", "save-json", "show-dir", "verbose"), PRINTED),
    **dict.fromkeys(("image-size", "imgsz", "img-size"), SIZE),
    **dict.fromkeys(("device", "gpu", "gpus"), f"expected none: {DEVICES}"),
}  # fmt: skip
OPTIONS: dict[str, dict[str, str]] = {
    "predict": {
        **JUDGING, **dict.fromkeys(("threshold", "conf", "probabilities", "probs"), TOP),
        "topk": "expected --top", "top-k": "expected --top",
    },
    "eval": {
        **JUDGING, **{name: f"expected --split {name}" for name in ("train", "val", "test", "all")},
        **dict.fromkeys(("confusion", "confusion-matrix", "per-class", "metrics", "top", "topk", "top-k"), ALL),
    },
    "export": {**dict.fromkeys(OF_RUN, RUN), **dict.fromkeys(OUTPUT, OUT)},
    "report": {**dict.fromkeys(OF_RUN, RUN), **dict.fromkeys(OUTPUT, OUT)},
    "import-weights": {
        **dict.fromkeys(("weights", "ckpt", "checkpoint", "file", "path"), "expected FILE without an option"),
        **dict.fromkeys(OUTPUT, OUT), "num-classes": "expected none: the weights say how many there are",
    },
    "summary": {
        **dict.fromkeys(("image-size", "imgsz", "input-size", "img-size", "shape", "size"), SHAPE),
        "classes": "expected --num-classes",
    },
}  # fmt: skip


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether they are `help` alone, as other tools have it, and that is no file."""
    return list(words) == ["help"] and not Path("help").exists()


def what_a_path_is(path: str) -> str:
    """What to write where a path stands in the place of the kind of data, at the end of an error."""
    from purecnn.data.file_kinds import SUFFIXES
    from purecnn.data.layout import kind_hint
    from purecnn.train.run_folder import has_config

    place, quoted, hint = Path(path), shlex.quote(path), ""
    suffix = "" if place.is_dir() else place.suffix.lower()
    if re.match(r"\w+://", path):
        return "a file or folder of this machine; fetch it first, as with curl -O"
    if has_config(place):
        return f"the data's kind; {quoted} is a run: --run-dir {quoted} --resume goes on with it"
    if suffix in BY_PATH:
        return BY_PATH[suffix].format(quoted)
    if suffix in SUFFIXES or (suffix != ".npz" and not place.is_dir() and (hint := kind_hint(place))):
        return f"a folder of images: --data folder --data-dir DIR{hint}"
    kind = "npz" if suffix == ".npz" or place.is_file() else "folder"
    return f"its kind: --data {kind} --data-dir {quoted}"


def refuse_of_other_tools(name: str, words: Sequence[str], options: Any) -> None:
    """Raise ValueError for an option of another tool, and for one of `options` that has one dash, or none, as a=b."""
    own = {name.replace("_", "-") for name in _names(options)}
    others = OPTIONS.get(name, {})
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=")
        option = option.replace("_", "-")
        if equals and not before.startswith("-") and not option.startswith("-") and not Path(word).exists():
            if option in own:
                raise ValueError(f"got {word}, expected --{option} {value}")
            if option in others:
                raise ValueError(f"got {word}, {others[option]}")
            if name == "train" and (hint := known_elsewhere(option, in_shell=True)):
                raise ValueError(f"got {word}{hint}")
        if option.startswith("--") and option[2:] not in own and option[2:] in others:
            raise ValueError(f"got {option}, {others[option[2:]]}")
        if re.fullmatch("-[a-z][a-z-]+", option) and option[1:] in own and not Path(word).exists():
            raise ValueError(f"got {option}, expected -{option}")


def _names(options: Any) -> set[str]:
    """Of all that have one, so of no positional argument; also those in a field that is a dataclass itself.

    `options` is a dataclass, or a union of some, for the subcommands of a subcommand.
    """
    found: set[str] = set()
    if not dataclasses.is_dataclass(options):
        return found.union(*map(_names, get_args(options)))
    for field in dataclasses.fields(options):
        if "Positional" in str(field.type):
            continue
        inner = field.default_factory if isinstance(field.default_factory, type) else None
        found |= _names(inner) if dataclasses.is_dataclass(inner) else {field.name}
    return found
