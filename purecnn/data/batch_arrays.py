"""One batch, or a whole set, as a program gives it: as arrays, images N H W C and the class of each."""

from __future__ import annotations

from typing import Any

import numpy as np

from purecnn.data.suspicions import (
    FEW,
    label_hint,
    pixel_hint,
    require_class_numbers,
    require_pixels,
    require_plain_colours,
    same_shape_hint,
)


def as_batch(images: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, C), uint8 or float32, and labels (N,) in int32. PyTorch's N C H W become N H W C.

    Its tensors with 1, 3 or 4 in the last axis alone, and more than 4 in the others, are N H W C already.
    """
    pixels = as_pixels(images)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    classes = _array(labels)
    if classes.ndim == 2 and classes.shape[1] == 1:
        classes = classes[:, 0]
    if pixels.ndim != 4 or 0 in pixels.shape:
        flat = "; images.reshape(-1, H, W, C) makes them" if pixels.ndim == 2 else ""
        none = ", none of them 0" if 0 in pixels.shape else ""
        raise ValueError(f"data: images: got shape {pixels.shape}, expected (N, H, W, C){none}{flat}")
    if classes.shape != pixels.shape[:1] or classes.dtype.kind not in "iu":
        expected = f"expected integers, one for each of {len(pixels)}{label_hint(classes)}"
        raise ValueError(f"data: labels: got {classes.dtype}{classes.shape}, {expected}")
    is_float = pixels.dtype.kind == "f" or pixels.dtype.name == "bfloat16"  # which is none of NumPy's own
    if not is_float and pixels.dtype != np.uint8:
        expected = f"expected uint8, or floating numbers{pixel_hint(pixels)}"
        raise ValueError(f"data: images: got dtype {pixels.dtype}, {expected}")
    require_class_numbers(classes)
    dtype = np.uint8 if pixels.dtype == np.uint8 else np.float32
    return np.ascontiguousarray(pixels, dtype), classes.astype(np.int32)


def as_pixels(images: Any) -> np.ndarray:
    """The array of images that stand for one, or of a list of them; PyTorch's C H W, also of N, become H W C.

    Raises ValueError for what has no pixels, as a path, and for images of several shapes.
    """
    listed = isinstance(images, list | tuple) and len(images) > 0
    one = next(iter(images)) if listed else images
    require_pixels(one)
    if listed and isinstance(one, list | tuple) and len(one) == 2 and np.ndim(one[1]) != np.ndim(one[0]):
        raise ValueError("data: images: got pairs, as (images, labels), expected images alone")
    pixels: Any = images if listed else _array(images)
    if listed or (pixels.dtype == object and pixels.ndim):  # such as a column of arrays
        pixels = _stacked(pixels)
    batch = is_tensor(one) and pixels.ndim == 4
    first = batch and (pixels.shape[3] not in FEW or min(pixels.shape[1:3]) <= max(FEW))
    return pixels.transpose(0, 2, 3, 1) if first else pixels


def is_tensor(value: Any) -> bool:
    """Whether it is PyTorch's, whose images are C H W."""
    return type(value).__module__.split(".")[0] == "torch"


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # PyTorch's, which NumPy refuses on a GPU, with a gradient and in bfloat16
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    if np.ma.is_masked(value):
        raise ValueError(f"data: got {np.ma.count_masked(value)} masked values, expected none; leave out these images")
    require_plain_colours(value)
    return np.asarray(value)


def _stacked(images: Any) -> np.ndarray:
    each = [_array(image) for image in images]
    shapes = sorted({image.shape for image in each})
    if len(shapes) > 1:
        hint = same_shape_hint(images, shapes)
        raise ValueError(f"data: images: got shapes {shapes[0]} and {shapes[1]}, expected one for all{hint}")
    return np.stack(each)
