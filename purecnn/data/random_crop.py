"""A random crop of a photograph, decoded to the net's input size: the random-resized crop of Szegedy et al. 2015.

JPEGs go through simplejpeg, which leaves Python's lock to others and decodes at a half, a quarter or an eighth of the
size where the crop is large, and OpenCV, whose resizing takes a tenth of the time of Pillow's. Pillow reads all other
files, and JPEGs that EXIF rotates, that are CMYK, or that simplejpeg refuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg

from purecnn.data.image_file import GIANT, PLAIN, Box, Decoding, pixels, read_header

ATTEMPTS = 10
RATIOS = (3 / 4, 4 / 3)

cv2.setNumThreads(1)  # of its own: images are decoded beside each other


@dataclass(frozen=True)
class Crop:
    """What random crops depend on: the seed and the epoch, with the number of the image, and nothing else.

    `least` is the least share of an image's area that is taken, the most is all of it.
    """

    seed: int
    epoch: int
    least: float


def random_box(crop: Crop, number: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom in an image of height × width pixels.

    The share of the area is uniform, the ratio of width to height uniform in its logarithm. Where ten draws do not fit
    into the image, the middle is taken, as much of it as has such a ratio.
    """
    rng = np.random.default_rng([crop.seed, crop.epoch, number])
    for _ in range(ATTEMPTS):
        area = height * width * rng.uniform(crop.least, 1)
        ratio = math.exp(rng.uniform(math.log(RATIOS[0]), math.log(RATIOS[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(rng.integers(width - wide + 1)), int(rng.integers(height - high + 1))
            return left, top, left + wide, top + high
    wide = max(1, min(width, round(height * RATIOS[1])))
    high = max(1, min(height, round(width / RATIOS[0])))
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high


def random_crop(path: Path, shape: tuple[int, ...], crop: Crop, number: int, decoding: Decoding = PLAIN) -> np.ndarray:
    """uint8 (height, width, channels) = `shape`: a crop of the image in `path`, drawn for its `number`.

    Raises ValueError, or what Pillow raises, for a file that is not an image or is damaged.
    """
    data = path.read_bytes()
    if data[:2] == b"\xff\xd8" and not _may_be_rotated(data):
        try:
            return _of_jpeg(data, shape, crop, number)
        except ValueError:
            pass  # Pillow knows whether this can be overlooked, and says what it is if not
    height, width, _ = read_header(path, None, decoding)
    box = random_box(crop, number, height, width)
    return pixels(path, shape, decoding, _shares(box, height, width))


def _may_be_rotated(jpeg: bytes) -> bool:
    """Whether there is EXIF among the segments before the picture's own."""
    at = 2
    while jpeg[at : at + 1] == b"\xff" and (0xE0 <= jpeg[at + 1] <= 0xEF or jpeg[at + 1] == 0xFE):
        if jpeg[at + 4 : at + 10] == b"Exif\0\0":
            return True
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return False


def _shares(box: tuple[int, int, int, int], height: int, width: int) -> Box:
    left, top, right, bottom = box
    return left / width, top / height, right / width, bottom / height


def _of_jpeg(data: bytes, shape: tuple[int, ...], crop: Crop, number: int) -> np.ndarray:
    """Raises ValueError for one that is damaged, too large, or neither RGB, YCbCr nor grey."""
    height, width, channels = shape
    header: Any = simplejpeg.decode_jpeg_header(data)
    rows, columns, colours, _ = header
    if rows * columns > GIANT or colours not in ("YCbCr", "RGB", "Gray"):
        raise ValueError(f"got {rows}×{columns} pixels in {colours}")
    left, top, right, bottom = random_box(crop, number, rows, columns)
    # As small as leaves the crop at least as large as it is wanted; by powers of two, others take longer than 1.
    scale = min(1, max(height / (bottom - top), width / (right - left)))
    least = {"min_height": math.ceil(scale * rows), "min_width": math.ceil(scale * columns), "min_factor": 2}
    image = simplejpeg.decode_jpeg(data, "GRAY" if channels == 1 else "RGB", **least)
    down, across = image.shape[0] / rows, image.shape[1] / columns
    first, last = round(top * down), max(round(bottom * down), round(top * down) + 1)
    start, end = round(left * across), max(round(right * across), round(left * across) + 1)
    part = image[first:last, start:end]
    # Linear interpolation sees every pixel where fewer than two become one.
    many = part.shape[0] >= 2 * height or part.shape[1] >= 2 * width
    resized = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA if many else cv2.INTER_LINEAR)
    return resized.reshape(shape)
