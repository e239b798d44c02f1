"""A folder of images in memory: all of its files decoded, those to train on, to validate and to test with."""

from __future__ import annotations

import dataclasses
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np

from purecnn.data.dataset import Dataset, Split
from purecnn.data.guards import Refused, require_room
from purecnn.data.holdout import TEST, TRAIN, VAL, VAL_SHARE
from purecnn.data.image_file import (
    NAMED,
    PLAIN,
    TWELVE_BITS,
    WHITE,
    Decoding,
    attempts,
    complain,
    in_threads,
    largest_value,
    pixels,
    read_header,
)
from purecnn.data.listing import Listing, list_folder

GREY = {"1", "L", "LA", "I;16", "I;16B", "I;16L"}
DARK = 16  # of 256: what 12 bits in the place of 16 become where Pillow reads the upper 8
DARKNESS = (
    "no value of any image is above {} of 255; of colours with 16 bits the upper 8 are read, 12 bits are lost there"
)
SKIP = "; --skip-unreadable leaves out what cannot be read"


def read_folder(
    root: Path,
    image_size: tuple[int, int] | None = None,
    val_share: float = VAL_SHARE,
    *,
    decoding: Decoding = PLAIN,
    skip_unreadable: bool = False,
    labels: Path | None = None,
) -> Dataset:
    """uint8 images, grey (C = 1) if all are and else RGB, of `image_size` (height, width) or else of the one they have.

    An image of another aspect ratio is brought to `image_size` by its shortest side, and the centre is taken. Classes
    are the folders' names in order, with all that lies in the folders below, or those of a table `labels`; what is held
    out where splits are missing is said in `notes` (`list_folder`). Turned as EXIF says; 16 bits become 8; of an
    animation the first image counts; `decoding` says the rest. With `skip_unreadable`, what cannot be read is left out,
    and `skipped` says why.

    Raises ValueError, naming files, for one that is no image, sizes that differ, and a class without images.
    """
    listing = list_folder(root, val_share, labels)
    complain([] if skip_unreadable else listing.strange, SKIP)
    listing = listing.only(np.argsort(listing.part, kind="stable"))  # all parts of one array, and none is copied
    headers = attempts(lambda path: read_header(path, image_size, decoding), listing.files)
    good, skipped = _sieved(root, listing, headers, skip_unreadable)
    listing, headers = listing.only(good), [headers[n] for n in good]
    decoding, notes = _with_white(decoding, listing.files, headers)
    images = np.empty((len(good), *_common_shape(root, listing.files, headers, image_size)), np.uint8)

    def fill(path: Path, place: np.ndarray) -> None:
        place[...] = pixels(path, place.shape, decoding)

    good, more = _sieved(root, listing, attempts(fill, listing.files, images), skip_unreadable)
    for new, old in enumerate(good):  # in place: a copy would take as much memory again
        if new != old:
            images[new] = images[old]
    listing, skipped = listing.only(good), (*listing.strange, *skipped, *more)
    if (brightest := images[: len(good)].max()) < DARK:
        warnings.warn(f"{root}: {DARKNESS.format(brightest)}", stacklevel=2)
    edges = np.searchsorted(listing.part, [TRAIN, VAL, TEST, TEST + 1])
    train, val, test = (Split(images[a:b], listing.labels[a:b], tuple(listing.names[a:b])) for a, b in pairwise(edges))
    return Dataset(
        root.resolve().name,
        train,
        test if len(test) else None,
        listing.classes,
        val if len(val) else None,
        (*listing.notes, *notes, *_told(skipped)),
        skipped=skipped,
        decoding=decoding,
    )


def read_image(path: Path, shape: tuple[int, ...], decoding: Decoding = PLAIN) -> np.ndarray:
    """One image made as `read_folder` makes those of a folder: uint8, (height, width, channels) = `shape`.

    Raises ValueError, naming the file, for one that is no image.
    """
    return in_threads(lambda path: pixels(path, shape, decoding), [path])[0]


def _sieved(root: Path, listing: Listing, results: list, skip: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """The numbers of those results that are none of `Refused`, and what these say. Raises ValueError unless `skip`."""
    good = np.array([n for n, result in enumerate(results) if not isinstance(result, Refused)], int)
    faults = tuple(sorted(str(result) for result in results if isinstance(result, Refused)))
    complain([] if skip else list(faults), SKIP)
    trained = np.bincount(listing.labels[good][listing.part[good] == TRAIN], minlength=len(listing.classes))
    if faults and not trained.all():
        name = listing.classes[int(trained.argmin())]
        raise Refused(f"{root}: class {name} has no image to train on that can be read: {faults[0]}")
    return good, faults


def _told(skipped: tuple[str, ...]) -> tuple[str, ...]:
    """The first few, one a line, and how many there are."""
    if not skipped:
        return ()
    what = "1 file that" if len(skipped) == 1 else f"{len(skipped):,} files that"
    more = (f"  and {len(skipped) - NAMED:,} more",) if len(skipped) > NAMED else ()
    return (f"left out {what} cannot be read:", *(f"  {line}" for line in skipped[:NAMED]), *more)


def _with_white(decoding: Decoding, files: list[Path], headers: list) -> tuple[Decoding, tuple[str, ...]]:
    """With a value that is white: of files of 16 bits none of which holds more than 12, 4,095; and a note says so."""
    if decoding.white is not None:
        return decoding, ()
    deep = [path for path, (*_, mode) in zip(files, headers, strict=True) if mode.startswith("I;16")]
    values = [value for value in attempts(largest_value, deep) if not isinstance(value, Refused)]
    if not values or max(values) > TWELVE_BITS:
        return dataclasses.replace(decoding, white=WHITE), ()
    note = f"files of 16 bits: none has a value above {max(values):,}, so 4,095 is white, as of 12 bits"
    return dataclasses.replace(decoding, white=TWELVE_BITS), (note,)


def _common_shape(root: Path, files: list[Path], headers: list, image_size: tuple[int, int] | None) -> tuple[int, ...]:
    """Height, width and channels of all images. Raises ValueError where sizes differ, or memory does not hold them."""
    size = image_size or headers[0][:2]
    if image_size is None:
        for path, header in zip(files, headers, strict=True):
            if header[:2] != size:
                raise Refused(
                    f"{files[0]}: {size[0]}×{size[1]} pixels, {path}: {header[0]}×{header[1]}; expected one size, "
                    "or an image size to make them"
                )
    channels = 1 if all(mode in GREY for *_, mode in headers) else 3
    require_room(root, len(files) * size[0] * size[1] * channels)
    return (*size, channels)
