"""AlexNet's weights under torchvision's names and in PyTorch's layout, from and to those of `alexnet_one_tower`.

    features.i.weight    (O, I, kh, kw)  ↔  params[i]["w"]       (kh, kw, I, O)
    classifier.j.weight  (out, in)       ↔  params[14 + j]["w"]  (in, out)

Biases are the same. PyTorch flattens C, H, W and this library H, W, C, so the inputs of the first fully connected
layer are put in another order as well: c·36 + h·6 + w there is h·6·256 + w·256 + c here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from purecnn.chain import Params
from purecnn.models import alexnet_one_tower

MODEL = "alexnet_one_tower"
FIRST_DENSE = "classifier.1"
POOLED = (256, 6, 6)  # channels, height and width of what is flattened, at 224×224
# Everything but the last layer, whose rows are the classes.
KERNELS = {
    "features.0": (64, 3, 11, 11),
    "features.3": (192, 64, 5, 5),
    "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3),
    "features.10": (256, 256, 3, 3),
    "classifier.1": (4096, 9216),
    "classifier.4": (4096, 4096),
}
LAST = "classifier.6"


def from_torchvision(arrays: Mapping[str, np.ndarray]) -> list[Params]:
    """The parameters of `alexnet_one_tower`, in float32, from arrays by torchvision's names.

    Raises ValueError, naming the array, where one is missing, is not one of AlexNet's, or has another shape.
    """
    classes = arrays[f"{LAST}.weight"].shape[0] if f"{LAST}.weight" in arrays else 1000
    kernels = KERNELS | {LAST: (classes, 4096)}
    expected = {f"{place}.weight": shape for place, shape in kernels.items()}
    expected |= {f"{place}.bias": shape[:1] for place, shape in kernels.items()}
    for name in sorted(expected.keys() ^ arrays.keys()):
        got, wanted = ("nothing", expected[name]) if name in expected else (arrays[name].shape, "no such array")
        raise ValueError(f"{name}: got {got}, expected {wanted}; not torchvision's AlexNet?")
    for name, shape in expected.items():
        array = arrays[name]
        if array.shape != shape or not jnp.issubdtype(array.dtype, jnp.floating):
            raise ValueError(f"{name}: got {array.dtype}{array.shape}, expected floating-point numbers, {shape}")

    params: list[Params] = [{} for _ in alexnet_one_tower().layers]
    for place in kernels:
        w, b = (arrays[f"{place}.{what}"].astype(np.float32) for what in ("weight", "bias"))
        if place == FIRST_DENSE:
            w = w.reshape(-1, *POOLED).transpose(2, 3, 1, 0).reshape(-1, w.shape[0])
        else:
            w = w.transpose((2, 3, 1, 0) if w.ndim == 4 else (1, 0))
        params[_layer(place)] = {"w": np.ascontiguousarray(w), "b": b}
    return params


def to_torchvision(params: list[Params]) -> dict[str, np.ndarray]:
    """The other way: arrays by torchvision's names from the parameters of `alexnet_one_tower`."""
    arrays = {}
    for place in (*KERNELS, LAST):
        layer: Any = params[_layer(place)]
        w, channels = np.asarray(layer["w"]), POOLED[0]
        if place == FIRST_DENSE:
            w = w.reshape(*POOLED[1:], channels, -1).transpose(3, 2, 0, 1).reshape(w.shape[1], -1)
        else:
            w = w.transpose((3, 2, 0, 1) if w.ndim == 4 else (1, 0))
        arrays[f"{place}.weight"], arrays[f"{place}.bias"] = np.ascontiguousarray(w), np.asarray(layer["b"])
    return arrays


def _layer(place: str) -> int:
    part, number = place.split(".")
    return int(number) + (14 if part == "classifier" else 0)
