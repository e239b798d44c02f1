"""A folder's images decoded once, into one file beside compiled programs and fetched sets; later runs map it."""

from __future__ import annotations

import hashlib
import os
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np

from purecnn.data.files import Files
from purecnn.data.waiting import shown

BLOCK = 2**25  # bytes that are decoded before they are written


def decoded_once(images: Files, folder: Path) -> np.ndarray:
    """All of `images`, mapped from a file in `folder`, which is written if it is not there: whole, or not at all.

    The file is known by the names, sizes and times of change of the images' files, and by how they are decoded. One
    that is damaged is written anew, with a warning. Raises ValueError for an image that cannot be read, and OSError
    where the file cannot be written.
    """
    path = folder / f"{_key(images)}.npy"
    found = _mapped(path, images)
    if found is not None:
        return found
    beside = path.with_suffix(f".{os.getpid()}.partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(beside, images)
        os.replace(beside, path)
    except OSError as error:  # of a full disk it names no file
        raise OSError(error.errno, f"{error.strerror}; PURECNN_CACHE names another folder", str(path)) from None
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")


def _mapped(path: Path, images: Files) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        found = np.load(path, mmap_mode="r")
        if (found.shape, found.dtype) == (images.shape, np.uint8):
            return found
    except (OSError, ValueError, EOFError):  # cut off, or something else
        pass
    warnings.warn(f"{path}: is damaged, and the images are decoded anew", stacklevel=3)
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
