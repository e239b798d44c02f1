"""One image file as pixels, and many files read in threads: what `read_folder` and `predict` read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from purecnn.data.guards import Refused, naming, require_room

# By content, whatever a file is called; others that Pillow knows start programs (EPS) or are no pictures.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 2**26  # of one image; decoded as RGBA that is 256 MB
THREADS = min(os.cpu_count() or 1, 8)
NAMED = 5  # faulty files that are named; the others are counted


def complain(faults: list[str]) -> None:
    if faults:
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise Refused("; ".join(faults[:NAMED]) + more)


def in_threads(function: Callable[..., Any], files: list[Path], *more: Any) -> list[Any]:
    """`function` of every file, in threads, as Pillow decodes beside Python; the files at which it fails are named."""

    def attempt(path: Path, *others: Any) -> Any:
        try:
            with naming(path):
                try:
                    return function(path, *others)
                except UnidentifiedImageError:
                    raise Refused(f"{path}: is no image, or none that can be read") from None
        except Refused as fault:
            return fault

    with warnings.catch_warnings(), ThreadPoolExecutor(THREADS) as pool:
        warnings.simplefilter("ignore")  # of what Pillow can read past it warns without the file's name
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        results = list(pool.map(attempt, files, *more))
    complain([str(result) for result in results if isinstance(result, Refused)])
    return results


def _require_modest(path: Path, image: Image.Image) -> None:
    """Before anything is decoded."""
    count = image.width * image.height
    if count > MAX_PIXELS:
        raise Refused(f"{path}: declares {image.height}×{image.width} pixels, expected at most {MAX_PIXELS:,}")
    require_room(path, count * len(image.getbands()), path.stat().st_size)


def read_header(path: Path) -> tuple[int, int, str]:
    """Height and width as EXIF turns them, and Pillow's mode: without decoding."""
    with Image.open(path, formats=FORMATS) as image:
        _require_modest(path, image)
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        height, width = (image.width, image.height) if turned else (image.height, image.width)
        return height, width, image.mode


def pixels(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 (height, width, channels) = `shape`."""
    height, width, channels = shape
    with Image.open(path, formats=FORMATS) as image:
        _require_modest(path, image)
        image.draft(None, (2 * max(shape), 2 * max(shape)))  # a JPEG far larger than asked is decoded smaller, quickly
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright) // 257).astype(np.uint8))  # Pillow's own conversion cuts off
    elif upright.mode in ("I", "F"):
        raise Refused(f"{path}: got 32 bits a pixel, expected 8 or 16")
    if upright.has_transparency_data:
        black = Image.new("RGBA", upright.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(black, upright.convert("RGBA"))
    upright = upright.convert("L" if channels == 1 else "RGB")
    if upright.size != (width, height):
        upright = upright.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(upright).reshape(shape)
