"""A pytree of arrays as a safetensors file. An array's name is its path in the tree: `params.0.w`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

Path_ = Path | str
WRITTEN = {".onnx": "ONNX", ".stablehlo": "StableHLO, which jax.export.deserialize reads", ".tflite": "TFLite"}


def save_weights(path: Path_, tree: Any, metadata: dict[str, str] | None = None) -> None:
    """Every array of `tree`, with `metadata` in the header, by `write_whole`."""
    named = jax.tree_util.tree_leaves_with_path(tree)
    write_whole(path, save({name_of(place): np.asarray(leaf, order="C") for place, leaf in named}, metadata))


def write_whole(path: Path_, data: bytes) -> None:
    """Write beside the file and rename: whoever looks finds the old or the new one whole. An OSError names the file."""
    beside = Path(f"{path}.partial")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # on the disk before the name is: a power cut must not leave an empty file
        os.replace(beside, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        beside.unlink(missing_ok=True)


def load_weights(path: Path_, like: Any) -> Any:
    """The arrays in the file, arranged as in `like`, whose leaves say the shape and dtype (arrays will do).

    Raises ValueError, naming the array, where file and `like` differ, and for what is no safetensors file.
    """
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: {not_safetensors(path, error)}") from error
    leaves, treedef = jax.tree_util.tree_flatten_with_path(like)
    expected = {name_of(key_path): leaf for key_path, leaf in leaves}
    for name in sorted(expected.keys() ^ found.keys()):
        raise ValueError(
            f"{path}: {name}: {'missing' if name in expected else 'unexpected'}; weights of another model?"
        )
    for name, leaf in expected.items():
        got, want = (found[name].shape, found[name].dtype), (leaf.shape, leaf.dtype)
        if got != want:
            raise ValueError(f"{path}: {name}: got {got[1]}{got[0]}, expected {want[1]}{want[0]}")
    return jax.tree.unflatten(treedef, [jnp.asarray(found[name]) for name in expected])


def not_safetensors(path: Path_, error: SafetensorError) -> str:
    """What a file is instead, if its first bytes say it."""
    from purecnn.data.file_kinds import kind_of  # which takes Pillow to import

    path = Path(path)
    kind = "an empty file" if not path.stat().st_size else kind_of(path) or WRITTEN.get(path.suffix.lower())
    kind = kind or f"other bytes, or a part of one ({str(error).rpartition(': ')[2]})"
    return f"got {kind}, expected a safetensors file"


def import_hint(path: Path_) -> str:
    """What converts a file of weights that is not purecnn's, at the end of an error; "" where nothing does."""
    convertible = Path(path).suffix.lower() in (".pth", ".pt", ".bin", ".safetensors")
    return "; purecnn import-weights converts those of torchvision and timm" if convertible else ""


def require_finite_weights(path: Path_, tree: Any) -> None:
    """Raise ValueError, naming file and array, for NaN and infinity: every output would be NaN."""
    for place, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not np.isfinite(leaf).all():
            raise ValueError(f"{path}: {name_of(place)}: got values that are not finite")


def name_of(path) -> str:
    """A path in a tree, as a name."""
    return jax.tree_util.keystr(path, simple=True, separator=".")
