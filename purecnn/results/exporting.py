"""A trained net as a file for others: its weights, or the whole function from pixels to probabilities."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from purecnn.data.file_kinds import kind_of
from purecnn.models.state_dict import unwrapped
from purecnn.models.torchvision import SHAPE, TABLES, from_torchvision, to_torchvision
from purecnn.results.trained import Trained
from purecnn.train.classifying import outputs, probabilities
from purecnn.train.metadata import ModelMetadata, require_distinct
from purecnn.train.weights import not_safetensors, require_finite_weights, save_weights, write_whole

PLATFORMS = ("cpu", "cuda", "tpu")
PICKLED = (".pth", ".pt", ".bin")  # by torch.save
ELSEWHERE = (".onnx", ".h5", ".hdf5", ".keras", ".tflite", ".pb", ".npz", ".msgpack", ".ckpt")  # what others write
FORCE = "exists already and is left as it is; name a new file, or --force"
CONVERT = "safetensors.torch.save_file(torch.load(FILE, weights_only=True), OUT)"
PLAIN = "expected a state_dict saved by torch.save, nothing but tensors by their names"
SAVE = "torch.save of that alone writes what is read here"
SCRIPTED = "torch.jit.load(FILE).state_dict()"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def require_free(path: Path, force: bool) -> None:
    """Raise FileExistsError if there is something at `path` and it may not be overwritten, or FileNotFoundError."""
    if path.is_dir() or (path.exists() and not force):
        more = "is a folder; name a file in it" if path.is_dir() else FORCE
        raise FileExistsError(f"out: {path} {more}")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"out: {path.parent}: there is no such folder")


def require_suffix(path: Path, form: str) -> None:
    """Raise ValueError for a file that is called what `form` is not, so that no other program reads it as that."""
    suffix = path.suffix.lower()
    ours = {".safetensors": ("safetensors", "torchvision"), ".stablehlo": ("stablehlo",)}
    if suffix in (*PICKLED, *ELSEWHERE) or form not in ours.get(suffix, (form,)):
        fits = "safetensors" if form == "torchvision" else form
        torch = suffix in (*PICKLED, ".onnx") and form == "safetensors"
        hint = "; --format torchvision is for PyTorch, --format stablehlo for programs without purecnn" if torch else ""
        raise ValueError(f"out: got {path}, expected a name that ends in .{fits}: the format is {form}{hint}")


def export_weights(path: Path, trained: Trained) -> None:
    """Parameters and state under the names of their paths, `params.0.w`, with what they are of in the header."""
    save_weights(path, {"params": trained.params, "state": trained.state}, trained.metadata.header())


def export_torchvision(path: Path, trained: Trained) -> None:
    """Parameters and state as torchvision's net loads them. Raises ValueError for a model that it does not have."""
    model, channels = trained.metadata.model, trained.metadata.input_shape[-1]
    if model not in TABLES:
        raise ValueError(f"format: got torchvision for {model}, expected one of its nets: {', '.join(TABLES)}")
    if channels != SHAPE[-1]:
        raise ValueError(f"format: got torchvision for a net for {channels} channels, expected {SHAPE[-1]}")
    save_weights(path, to_torchvision(model, trained.params, trained.state), trained.metadata.header())


def export_stablehlo(path: Path, trained: Trained) -> None:
    """The function (n, H, W, C) float32, pixels in [0, 1] -> probabilities (n, classes), weights in it, by jax.export.

    `jax.export.deserialize(bytes).call(images)` runs it, for any n, on a CPU, an NVIDIA GPU or a TPU, with JAX alone.
    Raises ImportError where the package flatbuffers, in which JAX writes such files, is not installed.
    """

    @jax.jit
    def classify(images):
        net, metadata = trained.net, trained.metadata
        return probabilities(metadata, outputs(net, metadata, trained.params, trained.state, images))

    batch = jax.export.symbolic_shape("n")
    images = jax.ShapeDtypeStruct((*batch, *trained.metadata.input_shape), jnp.float32)
    exported = jax.export.export(classify, platforms=PLATFORMS)(images)
    write_whole(path, bytes(exported.serialize()))


def import_torchvision(
    model: str,
    path: Path,
    classes: tuple[str, ...] | None = None,
    *,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Trained:
    """`model` from a file with torchvision's names, or timm's: safetensors, or what torch.save wrote of a state_dict.

    `classes` None: they are called by their numbers. Raises FileNotFoundError, or ValueError naming the file, the array
    and what is wrong with it, or saying that the file takes PyTorch to read.
    """
    try:
        net, params, state = from_torchvision(model, _read_arrays(path), len(classes) if classes else None)
    except SafetensorError as error:
        raise ValueError(f"{path}: {not_safetensors(path, error)}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    require_finite_weights(path, {"params": params, "state": state})
    count = net.shapes(SHAPE)[-1][0]
    classes = classes or tuple(str(number) for number in range(count))
    if len(classes) != count:
        raise ValueError(f"classes: got {len(classes)} names, expected {count}, the outputs of the net")
    metadata = ModelMetadata(model, "softmax_cross_entropy", path.name, classes, SHAPE, mean, std)
    return Trained(metadata, net, params, state)


def read_names(path: Path) -> tuple[str, ...]:
    """A name a line, without empty ones. Raises ValueError for what is no text in UTF-8, and for one given twice."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"classes: {path}: is not UTF-8: {error}") from None
    names = tuple(line.strip() for line in lines if line.strip())
    require_distinct(names, f"classes: {path}")
    return names


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        what = "is a folder, expected a file" if path.is_dir() else "there is no such file"
        raise FileNotFoundError(f"{path}: {what}")
    kind = kind_of(path) if path.stat().st_size else "an empty file"
    pickled = kind in ("a ZIP archive", "a pickle of Python")  # as torch.save writes one or the other
    if path.suffix not in PICKLED and not (pickled and path.suffix in (".ckpt", ".tar", "")):
        return load_file(path)
    if kind and not pickled:
        raise ValueError(f"got {kind}, expected what torch.save writes")
    try:
        import torch  # type: ignore[reportMissingImports]
    except ImportError:
        raise ValueError(f"reading {path.suffix} takes PyTorch; where it is installed, convert it: {CONVERT}") from None
    try:
        if kind == "a ZIP archive" and any("/code/" in name for name in zipfile.ZipFile(path).namelist()):
            raise ValueError(f"got TorchScript, expected a state_dict: torch.save({SCRIPTED}, OUT) writes it")
        named = unwrapped(torch.load(path, map_location="cpu", weights_only=True))
        named = {name: each for name, each in named.items() if isinstance(each, torch.Tensor)}
        floats = {name: each.float() if each.is_floating_point() else each for name, each in named.items()}
        return {name: each.detach().numpy() for name, each in floats.items()}  # of parameters too
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found is None:
            raise ValueError(f"{PLAIN}; it is cut off, or damaged") from error
        how = f"torch.load(FILE, weights_only=False), of a file that you trust, has its state_dict: {SAVE}"
        raise ValueError(f"got a pickled {found[1]}, {PLAIN}; {how}") from error
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{PLAIN}; it is cut off, or damaged") from error
    except TypeError as error:
        raise ValueError(f"{PLAIN}: {error}") from error
