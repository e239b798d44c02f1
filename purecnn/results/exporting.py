"""A trained net as a file for others: its weights, or the whole function from pixels to probabilities."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from purecnn.models import alexnet_one_tower
from purecnn.results.torchvision import MODEL, from_torchvision, to_torchvision
from purecnn.results.trained import Trained, outputs, probabilities
from purecnn.train.about import About
from purecnn.train.weights import save_weights, write_whole

PLATFORMS = ("cpu", "cuda", "tpu")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def require_free(path: Path, force: bool) -> None:
    """Raise FileExistsError if there is something at `path` and it may not be overwritten."""
    if path.is_dir() or (path.exists() and not force):
        raise FileExistsError(f"out: {path} exists already and is left as it is; name a new file, or --force")


def export_weights(path: Path, trained: Trained) -> None:
    """Parameters and state under the names of their places, `params.0.w`, with what they are of in the header."""
    save_weights(path, {"params": trained.params, "state": trained.state}, trained.about.metadata())


def export_torchvision(path: Path, trained: Trained) -> None:
    """AlexNet's parameters as PyTorch would load them. Raises ValueError for any other model."""
    if trained.about.model != MODEL or trained.about.input_shape != (224, 224, 3):
        got = f"{trained.about.model} for {trained.about.input_shape}"
        raise ValueError(f"format: got torchvision for {got}, expected {MODEL} for (224, 224, 3)")
    save_weights(path, to_torchvision(trained.params), trained.about.metadata())


def export_stablehlo(path: Path, trained: Trained) -> None:
    """The function (n, H, W, C) float32, pixels in [0, 1] -> probabilities (n, classes), weights in it, by jax.export.

    `jax.export.deserialize(bytes).call(images)` runs it, for any n, on a CPU, an NVIDIA GPU or a TPU, with JAX alone.
    Raises ImportError where the package flatbuffers, in which JAX writes such files, is not installed.
    """

    @jax.jit
    def classify(images):
        return probabilities(trained, outputs(trained, images))

    batch = jax.export.symbolic_shape("n")
    images = jax.ShapeDtypeStruct((*batch, *trained.about.input_shape), jnp.float32)
    exported = jax.export.export(classify, platforms=PLATFORMS)(images)
    write_whole(path, bytes(exported.serialize()))


def import_torchvision(
    path: Path,
    classes: tuple[str, ...] | None = None,
    *,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Trained:
    """AlexNet from a safetensors file with torchvision's names. `classes` None: they are called by their numbers.

    Raises FileNotFoundError, or ValueError naming the file, the array and what is wrong with it.
    """
    try:
        arrays: dict[str, np.ndarray] = load_file(path)
        params = from_torchvision(arrays)
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
    count = len(params[-1]["b"])
    classes = classes or tuple(str(number) for number in range(count))
    if len(classes) != count:
        raise ValueError(f"classes: got {len(classes)} names, expected {count}, the outputs of the net")
    about = About(MODEL, "softmax_cross_entropy", path.name, classes, (224, 224, 3), mean, std)
    net = alexnet_one_tower(count)
    return Trained(about, net, params, [{} for _ in net.layers])
