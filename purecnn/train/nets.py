"""A net with the weights of a file."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import os
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax
import numpy as np
import optax

from purecnn import models
from purecnn.chain import Chain, Params
from purecnn.data.guards import fetch_hint
from purecnn.train.classifying import classify
from purecnn.train.config import RENAMED, Model
from purecnn.train.devices import Devices
from purecnn.train.metadata import ModelMetadata, read_model_metadata
from purecnn.train.options import as_written
from purecnn.train.own_code import in_one_line, model_hint, near, of_library, place_of_code
from purecnn.train.step import TrainState
from purecnn.train.weights import import_hint, load_weights, name_of, require_finite_weights


def make_net(model: str, classes: int) -> Chain:
    """One of purecnn's models, or what FUNCTION of MODULE gives for so many classes, `model` being MODULE:FUNCTION.

    A module is looked for in the working directory too. Raises ValueError, naming what is not there, or the line of
    the user's own code where that fails.
    """
    if model in get_args(Model):
        return getattr(models, model)(classes)
    module, _, function = model.partition(":")
    if not module or not function:
        if function:
            again = (
                "purecnn.load(RUN, net=net) and purecnn.train.fit(net, …) take it again; commands take MODULE:FUNCTION"
            )
            raise ValueError(f"model: got {model!r}, a net that a program made; {again}")
        names = get_args(Model)
        expected = f"one of {', '.join(names)}, or MODULE:FUNCTION{model_hint(model, names)}"
        raise ValueError(f"model: got {model!r}, no such model; expected {expected}")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):  # a module that theirs imports
            raise ValueError(f"model: got {model!r}: {in_one_line(error)}") from error
        hint = f"; without .py: {module[:-3]}:{function}" if module.endswith(".py") else ""
        where = f"it is looked for in the working directory and in PYTHONPATH{hint}"
        raise ValueError(f"model: got {model!r}: {error}; {where}") from error
    except (Exception, SystemExit) as error:
        raise ValueError(f"model: got {model!r}, whose module cannot be imported: {in_one_line(error)}") from error
    if not hasattr(found, function):
        file = getattr(found, "__file__", None)
        place = near(file) if file else "one of Python's own"  # it may be another than they mean
        raise ValueError(f"model: got {model!r}: module {module!r} has no attribute {function!r} ({place})")
    return call_own(getattr(found, function), classes, f"model: {model}")


def call_own(function: Any, classes: int, name: str) -> Chain:
    """The net that a user's own function makes. Raises ValueError, with `name` and the line of theirs, for all else."""
    expected = "expected a function from the number of classes to a purecnn.Chain"
    if not callable(function):
        raise ValueError(f"{name} is {type(function).__name__}, {expected}")
    try:
        inspect.signature(function).bind(classes)
    except TypeError as error:
        code = getattr(function, "__code__", None)
        place = f" ({place_of_code(code)})" if code else ""
        raise ValueError(f"{name}, called with the number of classes: {error}{place}; {expected}") from None
    except ValueError:  # it does not tell its signature
        pass
    try:
        net = function(classes)
    except (Exception, SystemExit) as error:
        more = "" if inspect.isroutine(function) else of_library(function) or f"; {expected}"
        raise ValueError(f"{name} raised {in_one_line(error)}{more}") from error
    if not isinstance(net, Chain):
        raise ValueError(f"{name} gave {type(net).__name__}, expected a purecnn.Chain{of_library(net)}")
    return net


def weights_file(path: Path, *, last: bool = False) -> Path:
    """The file itself; of a run's folder that of its best epoch, or of the `last` one, also while no epoch is over."""
    if not path.is_dir():
        return path
    best = path / "best.safetensors"
    file = path / "weights.safetensors" if last or not best.is_file() else best
    if not file.is_file():
        raise FileNotFoundError(f"{path}: got no {file.name}, expected the folder of a run that has weights")
    return file


def load_net(
    path: Path | str, *, last: bool = False, net: Chain | None = None
) -> tuple[ModelMetadata, Chain, list[Params], list[Params]]:
    """What a file says of itself, the net, its parameters and state; of a run's folder see `weights_file`.

    `net` stands in for the one that the file names. Raises FileNotFoundError, or ValueError naming the file and what is
    wrong with it. Warns of a run that has no best weights, as before its first epoch is over.
    """
    folder = Path(path)
    file, metrics = weights_file(folder, last=last), folder / "metrics.jsonl"
    if folder.is_dir() and not (folder / "best.safetensors").is_file():
        begun = metrics.is_file() and metrics.stat().st_size
        which = "there is no best.safetensors: these are the weights after the last epoch"
        which = which if begun else "no epoch of this run is over: these are the weights that it began with"
        if not (begun and last):
            warnings.warn(f"{path}: {which}", stacklevel=3)
    try:
        metadata = read_model_metadata(file)
    except ValueError as error:
        if not folder.is_dir():
            raise
        what = str(error).partition(", or the folder")[0].removesuffix(import_hint(file))  # it is of a run already
        last_ones = "" if last else f"; {folder / 'weights.safetensors'} has those of the last epoch"
        raise ValueError(what + last_ones) from error
    metadata = dataclasses.replace(metadata, model=RENAMED.get(metadata.model, metadata.model))
    try:
        net = net or make_net(metadata.model, len(metadata.classes))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    key = jax.eval_shape(lambda: jax.random.key(0))
    like = jax.eval_shape(
        lambda key: {"params": net.init(key, metadata.input_shape), "state": net.init_state(metadata.input_shape)}, key
    )
    found = load_weights(file, like)
    require_finite_weights(file, found)
    return metadata, net, found["params"], found["state"]


class Loaded(NamedTuple):
    """A trained net, and what its file says of it: `predict(images)`; `net.apply(params, normalised images, …)`."""

    net: Chain
    params: list[Params]
    state: list[Params]
    metadata: ModelMetadata

    def predict(self, images: Any) -> np.ndarray:
        """Probabilities (N, classes), float32, in the order of `metadata.classes`, of images (N, H, W, C).

        Or of one without N; grey ones may lack C, and PyTorch's tensors have it first. uint8, or floating as those that
        it was trained on: in [0, 1] where these were files. Raises ValueError for images of another shape, TypeError
        for other dtypes.
        """
        return classify(self.net, self.metadata, self.params, self.state, images)

    def __repr__(self) -> str:
        count = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        return f"Loaded({self.net.name}: params of {count:,} numbers, state, {self.metadata})"


def load(run: Path | str, *, last: bool = False, net: Chain | None = None) -> Loaded:
    """The best weights of a run's folder, or its `last`, or a file of weights; `net` if a program made it.

    Raises FileNotFoundError, or ValueError naming the file and what is wrong with it.
    """
    path = as_written(run, is_path=True)
    if not isinstance(path, str):
        raise TypeError(f"run: got {type(run).__name__}, expected the folder of a run, or a file of weights")
    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: there is no such file, nor a run{fetch_hint(path)}")
    metadata, chain, params, state = load_net(path, last=last, net=net)
    return Loaded(chain, params, state, metadata)


def init_from_weights(
    path: str,
    metadata: ModelMetadata,
    start: TrainState,
    optimizer: optax.GradientTransformation,
    devices: Devices,
    net: Chain,
) -> tuple[ModelMetadata, TrainState, str]:
    """`metadata` with the mean and deviation of `path`'s pixels, `start` with its weights, and a line that says so.

    `path` is a file or a run. The last layer with parameters stays as it is where the classes are others. Raises
    ValueError, naming what differs, if the weights are of another model or of images of another size.
    """
    try:
        known = read_model_metadata(weights_file(Path(path)))
        same = known.model == metadata.model and known.classes == metadata.classes
        known, _, params, state = load_net(path, net=net if same else None)
    except FileNotFoundError as error:
        what = f"there is no such file, nor a run that has weights{fetch_hint(path)}"
        if path in get_args(Model) or path.lower() in ("imagenet", "true", "default"):
            what += "; none are downloaded: purecnn import-weights converts a file of torchvision's or timm's"
        raise ValueError(f"init_weights: {path}: {what}") from error
    except (ValueError, OSError) as error:
        raise ValueError(f"init_weights: {error}") from error
    if known.model != metadata.model:
        named = not known.model.startswith(":")  # as those are that a program made
        hint = f"; --model {known.model} is theirs" if named else ""
        raise ValueError(f"init_weights: {path}: got weights of {known.model}, expected of {metadata.model}{hint}")
    note = f"begins with the weights of {path}"
    if known.classes != metadata.classes:
        last = max(i for i, each in enumerate(start.params) if each)
        params[last] = start.params[last]
        note += f", but for the last layer ({last} {net.layers[last].name}): the classes are others"
    found, expected = ({"params": p, "state": s} for p, s in ((params, state), (start.params, start.state)))
    for (place, got), want in zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(expected), strict=True):
        if got.shape != want.shape:
            grey = (known.input_shape[-1], metadata.input_shape[-1]) == (3, 1)
            of_channels = "; images.repeat(3, axis=-1) gives grey ones three channels" if grey else ""
            raise ValueError(
                f"init_weights: {path}: {name_of(place)}: got {got.shape}, expected {want.shape}; "
                f"its images are {known.input_shape}, these {metadata.input_shape}{of_channels}"
            )
    params, state = jax.tree.map(lambda leaf: devices.replicate(np.asarray(leaf)), (params, state))
    opt_state = jax.jit(optimizer.init, out_shardings=devices.everywhere)(params)
    pixels = {"pixel_mean": known.pixel_mean, "pixel_std": known.pixel_std}
    begun = start._replace(params=params, state=state, opt_state=opt_state)
    return dataclasses.replace(metadata, **pixels), begun, note
