"""The classes that a trained net predicts for image files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from purecnn.data.file_kinds import is_strange_picture, may_be_image
from purecnn.data.file_tree import walk
from purecnn.data.folder import read_image
from purecnn.data.guards import fetch_hint
from purecnn.data.image_file import MEGAPIXELS, Decoding
from purecnn.results.trained import Trained, make_classifier
from purecnn.train.classifying import AT_ONCE

ARRAYS = "purecnn.load(RUN).predict takes arrays of others"


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of one file with their probabilities, in order; or why there are none."""

    file: Path
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None


def image_files(paths: Iterable[Path]) -> Iterator[Path | Prediction]:
    """Every file as it is; of a folder, and the folders in it, what is called an image or begins as one, in order.

    Pictures of formats that are not read are among them, so that each is told and none passed over.

    Links are followed, hidden files and litter left out, as by `purecnn.data.file_tree.walk`. For a folder that cannot
    be read, and for one without images, there is a `Prediction` that says so. A pattern such as `*.png`, which no shell
    has replaced, stands for what it matches.
    """
    for path in _matching(paths):
        if not os.path.isdir(path):
            yield path if not (why := _no_file(path)) else Prediction(path, error=f"{path}: {why}")
            continue
        faults: dict[Path, str] = {}
        inside = [file for file in walk(path, faults) if may_be_image(file) or is_strange_picture(file)]
        yield from inside
        if not inside and not faults:
            faults[path] = f"{path}: got no images, expected a folder with some"
        for place, fault in faults.items():
            yield Prediction(place, error=fault)


def _no_file(path: Path) -> str:
    """What is no file and stands for others, and what to do instead; "" for all else."""
    if hint := fetch_hint(path):
        return f"is an address, expected a file{hint}"
    names = str(path) == "-" or (str(path).startswith("@") and Path(str(path)[1:]).is_file())
    return "names are not read from elsewhere; xargs hands them over" if names and not path.exists() else ""


def _matching(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        names = [] if os.path.lexists(path) else sorted(glob.glob(str(path), recursive=True))
        yield from map(Path, names or [path])


def predict(
    trained: Trained, files: Iterable[Path | Prediction], top: int = 3, max_megapixels: int = MEGAPIXELS
) -> Iterator[Prediction]:
    """One `Prediction` for each of `files`, in their order; a file that cannot be read stops none of the others.

    They become pixels as the images that the net was trained on. What is a `Prediction` already stays as it is.

    Raises ValueError if the net takes images with other than 1 or 3 channels.
    """
    shape = trained.metadata.input_shape
    if shape[2] not in (1, 3):
        raise ValueError(f"net: got one for {shape[2]} channels, expected 1 or 3, as files have; {ARRAYS}")
    decoding = Decoding(trained.metadata.background, trained.metadata.white, max_megapixels)
    classify, waiting = make_classifier(trained), list(files)
    for start in range(0, len(waiting), AT_ONCE):
        yield from _predict(trained, classify, waiting[start : start + AT_ONCE], top, decoding)


def _predict(trained, classify, files, top, decoding) -> list[Prediction]:
    found: dict[Path, np.ndarray] = {}
    errors: dict[Path, str] = {}
    for file in (each for each in files if isinstance(each, Path)):
        try:
            found[file] = read_image(file, trained.metadata.input_shape, decoding)
        except ValueError as error:
            errors[file] = str(error)
    shares = dict(zip(found, classify(np.stack([*found.values()]))[1], strict=True)) if found else {}
    names = trained.metadata.classes

    def one(file: Path | Prediction) -> Prediction:
        if isinstance(file, Prediction):
            return file
        if file in errors:
            return Prediction(file, error=errors[file])
        best = np.argsort(-shares[file], kind="stable")[:top]
        return Prediction(file, tuple((names[k], float(shares[file][k])) for k in best))

    return [one(file) for file in files]
