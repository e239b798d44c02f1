"""A folder of images in memory: all of its files decoded, those to train on, to validate and to test with."""

from __future__ import annotations

import dataclasses
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np

from purecnn.data.dataset import Dataset, Split, Streaming
from purecnn.data.files import Files, evenly_spaced, open_files, streams
from purecnn.data.guards import Refused, in_bytes, require_room
from purecnn.data.holdout import TEST, TRAIN, VAL, VAL_SHARE
from purecnn.data.image_file import (
    GREY,
    NAMED,
    PLAIN,
    TWELVE_BITS,
    WHITE,
    Decoding,
    attempts,
    complain,
    in_threads,
    largest_value,
    narrowness,
    pixels,
    read_header,
)
from purecnn.data.listing import Listing, list_folder

FEW = 64  # images of which the proportions are looked at
DARK = 16  # of 256: what 12 bits in the place of 16 become where Pillow reads the upper 8
DARKNESS = (
    "no pixel of any image is above {} of 255; of 16-bit colours only the upper 8 bits are read, "
    "which loses 12-bit values"
)
KINDS = {1: "grey", 3: "coloured"}  # by their channels
SKIP = "; --skip-unreadable leaves out what cannot be read"


def read_folder(
    root: Path,
    image_size: tuple[int, int] | None = None,
    val_share: float = VAL_SHARE,
    *,
    decoding: Decoding = PLAIN,
    skip_unreadable: bool = False,
    labels: Path | None = None,
    streaming: Streaming = "auto",
    classes: tuple[str, ...] | None = None,
    channels: int | None = None,
) -> Dataset:
    """uint8 images, grey (C = 1) if all are, else RGB, of `image_size` (height, width) or of their common size.

    An image of another aspect ratio is resized by its shortest side to `image_size`, and cropped to the centre. Classes
    are the folders' names in order, with all files in the folders below, or those of a table `labels`. If splits are
    missing, images are held out, and `notes` say how many (`list_folder`). Images are rotated by EXIF, 16 bits become
    8, an animation gives its first image; `decoding` has the rest. With `skip_unreadable`, unreadable files are left
    out, and `skipped` says why. `classes` and `channels` are those of a trained net.

    Images stay in their files (`purecnn.data.files`) if `streaming` says so or if they are too many. With an
    `image_size` a few of these are read beforehand; with `skip_unreadable` all are decoded once, at a small size.

    Raises ValueError, naming files, for a file that is not an image, sizes that differ, and a class without images.
    """
    listing = list_folder(root, val_share, labels, classes)
    complain([] if skip_unreadable else listing.strange, SKIP)
    listing = listing.only(np.argsort(listing.part, kind="stable"))  # all parts of one array, and none is copied
    if image_size is not None and not skip_unreadable and streams(streaming, len(listing), (*image_size, 3)):
        few = listing.only(evenly_spaced(len(listing)))
        headers = _headers(root, few, image_size, decoding)
        if channels is None and _channels(headers) == 1:
            few, headers = listing, _headers(root, listing, image_size, decoding)
        skipped = ()
    else:
        headers = attempts(lambda path: read_header(path, image_size, decoding), listing.files, what="reading headers")
        good, skipped = _sieved(root, listing, headers, skip_unreadable)
        few = listing = listing.only(good)
        headers = [headers[n] for n in good]
    decoding, notes = _with_white(decoding, few.files, headers)
    own = _channels(headers)
    if classes is None and channels not in (None, own):
        what, as_what = (KINDS[number] for number in (own, channels))
        notes = (*notes, f"{what} images are read as {as_what} ones, as the weights are of such")
    shape = (*_common_size(few.files, headers, image_size), channels or own)
    if streams(streaming, len(listing), shape):
        images, listing, more, kept = _in_files(root, listing, shape, decoding, skip_unreadable, streaming == "cached")
        notes = (*notes, kept)
    else:
        images, listing, more = _in_memory(root, listing, shape, decoding, skip_unreadable)
    skipped = (*listing.strange, *skipped, *more)
    notes = (*notes, *_cropped(listing.files_at(evenly_spaced(len(listing), FEW)), image_size))
    train, val, test = (_split(images, listing, start, stop) for start, stop in pairwise(_edges(listing)))
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


def _in_files(
    root: Path, listing: Listing, shape: tuple[int, ...], decoding: Decoding, skip: bool, cached: bool
) -> tuple[Files | np.ndarray, Listing, tuple[str, ...], str]:
    """Images that stay in their files or, `cached`, in one of their pixels; the files that are left, why others are
    not, and where the images are."""
    require_room(root, int(np.prod(shape)))
    more = ()
    if skip:  # only decoding finds truncated files; here it does so before the run
        tried = attempts(lambda path: _tried(path, decoding), listing.files, what="looking for damaged files")
        good, more = _sieved(root, listing, tried, skip)
        listing = listing.only(good)
    else:  # those by which a run knows the set again: mended after it has begun, they would be others
        known = [start + evenly_spaced(stop - start) for start, stop in pairwise(_edges(listing)) if stop > start]
        few = listing.only(np.concatenate(known))
        _sieved(root, few, attempts(lambda path: _tried(path, decoding), few.files), skip)
    images = open_files(root, listing.paths, shape, decoding)
    much = f"{in_bytes(images.nbytes)} of pixels"
    if not cached:
        return images, listing, more, f"images stay in their files, {much}, until a step needs them"
    from purecnn.data.cache import cache_folder
    from purecnn.data.pixel_cache import decoded_once

    folder = cache_folder("pixels")
    return decoded_once(images, folder), listing, more, f"images are decoded once: {much} in {folder}"


def _in_memory(
    root: Path, listing: Listing, shape: tuple[int, ...], decoding: Decoding, skip: bool
) -> tuple[np.ndarray, Listing, tuple[str, ...]]:
    """All images in one array; the files that are left, and why others are not."""
    require_room(root, len(listing) * int(np.prod(shape)))
    images = np.empty((len(listing), *shape), np.uint8)
    good, more = _sieved(root, listing, _decoded(listing.files, images, decoding), skip)
    for new, old in enumerate(good):  # in place: a copy would take as much memory again
        if new != old:
            images[new] = images[old]
    images = images[: len(good)]
    if (brightest := images.max()) < DARK:
        warnings.warn(f"{root}: {DARKNESS.format(brightest)}", stacklevel=3)
    return images, listing.only(good), more


def _edges(listing: Listing) -> list[int]:
    """Where the splits begin and end: train, val, test."""
    return np.searchsorted(listing.part, [TRAIN, VAL, TEST, TEST + 1]).tolist()


def _split(images: np.ndarray | Files, listing: Listing, start: int, stop: int) -> Split:
    part = images[start:stop]
    names = part.file_names if isinstance(part, Files) else tuple(listing.names[start:stop])
    return Split(part, listing.labels[start:stop], names)


def read_image(path: Path, shape: tuple[int, ...], decoding: Decoding = PLAIN) -> np.ndarray:
    """One image, decoded as by `read_folder`: uint8, (height, width, channels) = `shape`.

    Raises ValueError, naming the file, if it is not an image.
    """
    return in_threads(lambda path: pixels(path, shape, decoding), [path])[0]


def _sieved(root: Path, listing: Listing, results: list, skip: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """The indices of the results that are not `Refused`, and the others' messages. Raises ValueError unless `skip`."""
    good = np.array([n for n, result in enumerate(results) if not isinstance(result, Refused)], int)
    faults = tuple(sorted(str(result) for result in results if isinstance(result, Refused)))
    complain([] if skip else list(faults), SKIP)
    before, trained = (
        np.bincount(listing.labels[those][listing.part[those] == TRAIN], minlength=len(listing.classes))
        for those in (slice(None), good)
    )
    lost = np.flatnonzero((before > 0) & (trained == 0))
    if len(lost):
        name = listing.classes[int(lost[0])]
        raise Refused(f"{root}: class {name} has no image to train on that can be read: {faults[0]}")
    return good, faults


def _tried(path: Path, decoding: Decoding) -> None:
    pixels(path, (8, 8, 3), decoding)


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
    note = f"16-bit files: no value is above {max(values):,}, so they are read as 12 bits (4,095 is white)"
    return dataclasses.replace(decoding, white=TWELVE_BITS), (note,)


def _cropped(few: list[Path], image_size: tuple[int, int] | None) -> tuple[str, ...]:
    """A note where the centre is less than half of most images, as of lines of text."""
    sides = [] if image_size is None else [side for side in attempts(narrowness, few) if not isinstance(side, Refused)]
    if not sides or (share := float(np.median(sides))) >= 0.5:
        return ()
    what = "most images are more than twice as wide as high, or as high as wide"
    return (f"{what}: their centre is seen, {share:.1%} of the longer side",)


def _headers(root: Path, listing: Listing, size: tuple[int, int], decoding: Decoding) -> list:
    headers = attempts(lambda path: read_header(path, size, decoding), listing.files)
    _sieved(root, listing, headers, skip=False)
    return headers


def _decoded(files: list[Path], images: np.ndarray, decoding: Decoding) -> list:
    """Into `images`; a `Refused` for each that cannot be read."""

    def fill(path: Path, place: np.ndarray) -> None:
        place[...] = pixels(path, place.shape, decoding)

    return attempts(fill, files, images, what="decoding")


def _channels(headers: list) -> int:
    return 1 if all(mode in GREY for *_, mode in headers) else 3


def _common_size(files: list[Path], headers: list, image_size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of all images. Raises ValueError where they differ."""
    size = image_size or headers[0][:2]
    if image_size is None:
        for path, header in zip(files, headers, strict=True):
            if header[:2] != size:
                raise Refused(
                    f"{files[0]}: {size[0]}×{size[1]} pixels, {path}: {header[0]}×{header[1]}; expected one size, "
                    "or --image-size N, which they are brought to"
                )
    return size
