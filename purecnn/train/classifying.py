"""What a trained net says of images: its outputs, and the probability of every class."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from purecnn.annotations import Array
from purecnn.chain import Chain, Params
from purecnn.data.batch_arrays import as_pixels, is_tensor
from purecnn.data.dataset import to_float
from purecnn.data.suspicions import check_pixels
from purecnn.layers.softmax import softmax
from purecnn.train.metadata import ModelMetadata

AT_ONCE = 128  # images
KINDS = {1: "L", 3: "RGB"}  # PIL's names of what has so many channels


def normalize(metadata: ModelMetadata, images: Array) -> Array:
    """Pixels in [0, 1] as the net takes them: (pixel − mean) / std."""
    if (metadata.pixel_mean, metadata.pixel_std) == ((0.0,), (1.0,)):
        return images
    mean, std = (jnp.asarray(v, images.dtype)[None, None, None] for v in (metadata.pixel_mean, metadata.pixel_std))
    return (images - mean) / std


def outputs(net: Chain, metadata: ModelMetadata, params: list[Params], state: list[Params], images: Array) -> Array:
    """The net's outputs for images (N, H, W, C), uint8 or in [0, 1]: (N, classes), logits or, for mlp, shares."""
    return net.apply(params, normalize(metadata, to_float(images)), state=state)


def probabilities(metadata: ModelMetadata, outputs: Array) -> Array:
    """Of every class, (N, classes), from the net's outputs: each row sums to 1.

    After training by squared error an output is an estimate of its class's probability itself, and so only scaled.
    """
    if metadata.loss == "softmax_cross_entropy":
        return softmax(outputs)
    shares = jnp.maximum(outputs, jnp.finfo(outputs.dtype).tiny)
    return shares / shares.sum(axis=1, keepdims=True)


def classify(net: Chain, metadata: ModelMetadata, params: list[Params], state: list[Params], images: Any) -> np.ndarray:
    """Probabilities (N, classes), float32, of images (N, H, W, C), or of one without N: see `Loaded.predict`."""
    shape = metadata.input_shape
    try:
        pixels = as_pixels(images)
    except ValueError as error:
        raise ValueError(f"{str(error).removeprefix('data: ')}; purecnn predict RUN FILE reads files") from None
    channels_first = is_tensor(images) and pixels.shape == (shape[2], *shape[:2])
    pixels = pixels.transpose(1, 2, 0) if channels_first else pixels  # one image of PyTorch's
    if shape[-1] == 1 and pixels.ndim in (2, 3) and pixels.shape[-2:] == shape[:2]:
        pixels = pixels[..., None]
    pixels = pixels[None] if pixels.shape == shape else pixels
    if pixels.shape[1:] != shape or not len(pixels):
        expected = f"(N, {', '.join(map(str, shape))}), or one image without N"
        hint = _shape_hint(pixels.shape, shape)
        raise ValueError(f"images: got shape {pixels.shape}, expected {expected}; purecnn predict resizes files{hint}")
    if pixels.dtype != np.uint8 and pixels.dtype.kind != "f":
        raise TypeError(f"images: got {pixels.dtype}, expected uint8, or floating numbers as it was trained on")
    check_pixels(pixels, "predict")
    pixels = pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)
    parts = [pixels[start : start + AT_ONCE] for start in range(0, len(pixels), AT_ONCE)]
    return np.concatenate([np.asarray(_probabilities(net, metadata, params, state, part)) for part in parts])


def _shape_hint(got: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """What makes images of a shape `got` those that a net takes, (H, W, C); "" where that is not known."""
    height, width, channels = expected
    if got[1:] == (channels, height, width):
        return "; of N C H W: images.transpose(0, 2, 3, 1)"
    sides, have = (got[-3:-1], got[-1]) if len(got) > 2 else (got, 1)
    if len(got) < 2 or channels not in KINDS or have not in (1, 3, 4):
        return ""
    size = f".resize(({width}, {height}))" if sides != (height, width) else ""
    kind = f".convert({KINDS[channels]!r})" if have != channels else ""
    return f"; PIL's image{kind}{size} is one that it takes" if kind or size else ""


@partial(jax.jit, static_argnums=(0, 1))
def _probabilities(net: Chain, metadata: ModelMetadata, params: list[Params], state: list[Params], x: Any) -> Any:
    """Compiled once for a net and a number of images, whoever calls."""
    return probabilities(metadata, outputs(net, metadata, params, state, x))
