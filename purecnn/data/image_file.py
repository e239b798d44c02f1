"""One image file as pixels, and many files read in threads: what `read_folder` and `predict` read."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageColor, ImageOps, UnidentifiedImageError

from purecnn.backend import usable_cores
from purecnn.data.file_kinds import formats, reason_of
from purecnn.data.guards import Refused, naming, require_room
from purecnn.data.waiting import shown

GREY = {"1", "L", "LA", "I;16", "I;16B", "I;16L"}  # Pillow's modes
MEGAPIXELS = 64  # of one image, in millions; decoded with transparency they take 4 bytes each
GIANT = 2**25  # pixels: images of more are decoded one at a time
NEW_SUBFILE_TYPE = 254  # a TIFF tag
PREVIEW = 1  # its bit that says: of less resolution than another image in the file
STRIP = 4  # rows of the smaller image that a giant is made at a time
THREADS = min(usable_cores(), 8)
NAMED = 5  # faulty files that are named; the others are counted
TOO_LIGHT = 192  # of 255: what is lighter than this in the mean is not seen on white
TOO_MUCH_TEXT = ("max_text", "decompressed data too large")  # what Pillow's versions say of it
WHITE, TWELVE_BITS = 2**16 - 1, 2**12 - 1  # the value that is white in files of 16 bits, and where they hold 12


@dataclass(frozen=True)
class Decoding:
    """How files become pixels. The settings of training are stored with the weights, and `predict` uses the same.

    `background` shows through transparency: "auto", or a CSS colour. "auto" decides for each image by itself, so that a
    file gives the same pixels alone and in any set: white, or black if the picture is too light to be visible on white.
    `white` is the value of white in 16-bit files: 65,535, or what `read_folder` finds for the whole set, so that a dark
    image stays dark. `max_megapixels` is the largest decoded size of an image.
    """

    background: str = "auto"
    white: int | None = None
    max_megapixels: int = MEGAPIXELS

    def __post_init__(self):
        if self.background != "auto":
            try:
                ImageColor.getrgb(self.background)
            except (ValueError, AttributeError, TypeError):
                expected = "auto, or a colour such as white, black or #c0ffee"
                raise ValueError(f"background: got {self.background!r}, expected {expected}") from None


PLAIN = Decoding()


def complain(faults: list[str], hint: str = "") -> None:
    """Raise `Refused` for faults, "FILE: REASON" each; a reason that files have in common is said once."""
    if faults:
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        parts = [fault.partition(": ") for fault in faults[:NAMED]]
        alike = [
            (reason, ", ".join(file for file, _, _ in same)) for reason, same in groupby(parts, lambda part: part[2])
        ]
        raise Refused("; ".join(f"{files}: {reason}" for reason, files in alike) + more + hint)


def attempt(function: Callable[..., Any], path: Path, *more: Any) -> Any:
    """`function(path, *more)`, or where it fails a `Refused` that says why."""
    try:
        with naming(path):
            try:
                return function(path, *more)
            except UnidentifiedImageError:
                raise Refused(f"{path}: {reason_of(path)}") from None
            except ValueError as error:
                if not any(words in str(error).lower() for words in TOO_MUCH_TEXT):
                    raise
                much = "carries text that unpacks to more than 1 MiB"
                raise Refused(f"{path}: {much}; it is read once it is saved without its metadata") from None
    except Refused as fault:
        return fault


def attempts(function: Callable[..., Any], files: list[Path], *more: Any, what: str = "reading files") -> list[Any]:
    """`attempt` of every file, in threads, for Pillow decodes beside Python; `what` is what a bar says of many."""
    with warnings.catch_warnings(), ThreadPoolExecutor(THREADS) as pool:
        warnings.simplefilter("ignore")  # of what Pillow can read past it warns without the file's name
        return list(shown(pool.map(partial(attempt, function), files, *more), what, len(files)))


def in_threads(function: Callable[..., Any], files: list[Path], *more: Any) -> list[Any]:
    """The like of `attempts`. Raises ValueError that names the files at which it fails."""
    results = attempts(function, files, *more)
    complain([str(result) for result in results if isinstance(result, Refused)])
    return results


_unlimited = threading.Lock()
_one_giant = threading.Lock()


def _open(path: Path) -> Image.Image:
    """Without decoding; refused where it would be a preview of the image, as of raw photographs (NEF, DNG)."""
    if not path.is_file():
        raise Refused(f"{path}: {'is not a regular file' if path.exists() else 'there is no such file'}")
    image = _with_header(path)
    if getattr(image, "tag_v2", {}).get(NEW_SUBFILE_TYPE, 0) & PREVIEW:
        image.close()
        raise Refused(f"{path}: begins with a preview, as raw photographs do, which are not supported; convert it")
    return image


def _with_header(path: Path) -> Image.Image:
    """Pillow's own limit is lifted only to read the header of what exceeds it; ours is stricter."""
    try:
        return Image.open(path, formats=formats())
    except Image.DecompressionBombError:
        with _unlimited:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                return Image.open(path, formats=formats())
            finally:
                Image.MAX_IMAGE_PIXELS = limit


def _scaled(image: Image.Image, size: tuple[int, int] | None) -> None:
    """A JPEG far larger than `size` (height, width) is to be decoded smaller, quickly and in little memory."""
    if size is not None:
        image.draft(None, (2 * max(size), 2 * max(size)))


def _require_modest(path: Path, image: Image.Image, decoding: Decoding) -> None:
    """Before anything is decoded."""
    count = image.width * image.height
    megapixels, taken = -(-count // 10**6), count * len(image.getbands())
    require_room(path, taken)
    if megapixels > decoding.max_megapixels:
        raise Refused(
            f"{path}: declares {image.height}×{image.width} pixels, expected at most {decoding.max_megapixels:,} "
            f"million; --max-megapixels {megapixels} reads it"
        )
    if decoding.max_megapixels <= MEGAPIXELS:  # who raises the limit has such pictures and knows it
        try:
            require_room(path, taken, path.stat().st_size)
        except Refused as fault:
            raise Refused(f"{fault}; --max-megapixels {MEGAPIXELS + 1} reads it all the same") from None


def read_header(path: Path, size: tuple[int, int] | None = None, decoding: Decoding = PLAIN) -> tuple[int, int, str]:
    """Height and width as EXIF turns them, or `size`, which all are made; Pillow's mode; refused where `pixels` would.

    Without decoding, but for a PNG whose `size` is not given: EXIF may stand at its end. With it a JPEG may be of any
    size of its own.
    """
    with _open(path) as image:
        _scaled(image, size)
        _require_modest(path, image, decoding)
        if size is not None:
            return *size, image.mode
        rotated = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        height, width = (image.width, image.height) if rotated else (image.height, image.width)
        return height, width, image.mode


def narrowness(path: Path) -> float:
    """The shorter side by the longer one. Without decoding."""
    with _open(path) as image:
        return min(image.size) / max(image.size)


Box = tuple[float, float, float, float]  # left, top, right, bottom, as shares of an upright image's width and height


def pixels(path: Path, shape: tuple[int, ...], decoding: Decoding = PLAIN, box: Box | None = None) -> np.ndarray:
    """uint8 (height, width, channels) = `shape`, the aspect ratio kept: by the shortest side, and the centre of it.

    Or of what is in the `box`, whatever its aspect ratio.
    """
    height, width, channels = shape
    share = 1 if box is None else min(box[2] - box[0], box[3] - box[1])
    with _open(path) as image:
        _scaled(image, (math.ceil(height / share), math.ceil(width / share)))
        _require_modest(path, image, decoding)
        # For memory to be bounded by one of them.
        with _one_giant if image.width * image.height > GIANT else nullcontext():
            upright = _eight_bits(path, image, decoding.white or WHITE)
            small = _fitted(upright, (width, height), "L" if channels == 1 else "RGB", box)
    if small.mode == "RGBA":
        paper = Image.new("RGBA", small.size, background_of(small, decoding.background))
        small = Image.alpha_composite(paper, small).convert("L" if channels == 1 else "RGB")
    return np.asarray(small).reshape(shape)


def _eight_bits(path: Path, image: Image.Image, white: int) -> Image.Image:
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):
        values = np.minimum(np.asarray(image), white).astype(np.uint32)  # Pillow's own conversion cuts off
        return Image.fromarray((values * 255 // white).astype(np.uint8))
    if image.mode in ("I", "F"):
        scaled = "scale them, to 16 bits or to [0, 1] in an .npz"  # no such file says which value is white
        raise Refused(f"{path}: got 32 bits a pixel, expected 8 or 16; {scaled}")
    return image


def _fitted(image: Image.Image, size: tuple[int, int], mode: str, box: Box | None) -> Image.Image:
    """Of `size` (width, height), RGBA where something is transparent, else `mode`."""
    if image.has_transparency_data:
        mode = "RGBA"
    factor = min(image.width // (2 * size[0]), image.height // (2 * size[1]))
    if factor > 1 and image.width * image.height > GIANT:
        image = _reduced(image, factor, mode)
    elif image.mode != mode:
        image = image.convert(mode)
    if box is not None:
        left, top, right, bottom = box
        part = (left * image.width, top * image.height, right * image.width, bottom * image.height)
        return image.resize(size, Image.Resampling.BILINEAR, part)
    return image if image.size == size else ImageOps.fit(image, size, Image.Resampling.BILINEAR)


def _reduced(image: Image.Image, factor: int, mode: str) -> Image.Image:
    """In `mode`, smaller by `factor`, a pixel the mean of those it stands for; by strips, as only these are copied."""
    small = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, image.height, STRIP * factor):
        strip = image.crop((0, top, image.width, min(top + STRIP * factor, image.height)))
        small.paste(strip.convert(mode).reduce(factor), (0, top // factor))
    return small


def background_of(image: Image.Image, background: str) -> tuple[int, int, int, int]:
    """What shows through an RGBA image: see `Decoding`."""
    if background != "auto":
        return (*ImageColor.getrgb(background)[:3], 255)
    alpha = np.asarray(image.getchannel("A"), np.float32)
    brightness = float((np.asarray(image.convert("L"), np.float32) * alpha).sum() / max(alpha.sum(), 1))
    return (0, 0, 0, 255) if brightness > TOO_LIGHT else (255, 255, 255, 255)


def largest_value(path: Path) -> int:
    """Of a file of 16 bits: whether a set of them holds 12 is seen in all of them alone."""
    with _open(path) as image:
        return int(np.asarray(image).max())
