"""A folder's images decoded once, into one file beside compiled programs and fetched sets; later runs map it."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np

from purecnn.data.files import Files, evenly_spaced
from purecnn.data.guards import in_bytes
from purecnn.data.waiting import shown

BLOCK = 2**25  # bytes that are decoded before they are written
COMPARED = 64  # images that are decoded again, before a file is taken


def decoded_once(images: Files, folder: Path) -> np.ndarray:
    """All of `images`, mapped from a file in `folder`, which is written if it is not there: whole, or not at all.

    The file is known by the names, sizes and times of change of the images' files, and by how they are decoded. One
    that is damaged, or in which some images are not as they are decoded now, is written anew, with a warning.
    Raises ValueError for an image that cannot be read, and OSError where the file cannot be written.
    """
    path = folder / f"{_key(images)}.npy"
    found = _mapped(path, images)
    if found is not None:
        return found
    beside = path.with_suffix(f".{os.getpid()}.partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_free(folder, images.nbytes)
        _write(beside, images)
        os.replace(beside, path)
    except OSError as error:  # of a full disk it names no file
        raise OSError(error.errno, f"{error.strerror}; PURECNN_CACHE names another folder", str(path)) from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")


def _require_free(folder: Path, wanted: int) -> None:
    """Raise OSError before hours of decoding, where the disk has no room for what they give."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise OSError(errno.ENOSPC, f"got {in_bytes(free)} of free disk, expected {in_bytes(wanted)} for the pixels")


def _mapped(path: Path, images: Files) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        found = np.load(path, mmap_mode="r")
        rows = evenly_spaced(len(images), COMPARED)
        like = (found.shape, found.dtype) == (images.shape, np.uint8)
        if like and np.array_equal(found[rows], np.asarray(images[rows])):
            return found
    except (OSError, ValueError, EOFError):  # cut off, or something else
        pass
    warnings.warn(f"{path}: is damaged or of another version, and the images are decoded anew", stacklevel=3)
    return None


def _key(images: Files) -> str:
    digest = hashlib.sha256(repr((images.shape, images.decoding)).encode())
    for number in images.numbers:
        status = images.path(int(number)).stat()
        name = os.fsencode(images.names[int(number)])
        digest.update(b"%b\0%d\0%d\0" % (name, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()[:32]


def _write(path: Path, images: Files) -> None:
    """With a bar on a terminal, and without mapping what is written: mapped pages would count as this process's."""
    each = max(1, BLOCK // (images.nbytes // len(images)))
    with open(path, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": images.shape}
        np.lib.format.write_array_header_1_0(file, header)
        starts = range(0, len(images), each)
        for start in shown(starts, "decoding", len(starts), few=1):
            file.write(np.asarray(images[start : start + each]).data)
        file.flush()
        os.fsync(file.fileno())  # on the disk before it has its name
