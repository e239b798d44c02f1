"""Corrupt images of one's own, in folders and as npz."""

import io
import os
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

from tests.data.corrupting import Hostile, Kinds, cut, flip
from tests.data.making import pictures, write_folder

KINDS: Kinds = {}


# A folder of images: one of them is corrupt, or the folder itself.


def folder_kind(name, corrupt, suffix=".png", culprit=None, kinds=KINDS):
    def make(folder, rng):
        write_folder(folder, suffix=suffix, side=(24, 32))
        path = folder / ("cat", "dog", "owl")[rng.integers(3)] / f"{rng.integers(5)}{suffix}"
        corrupt(path, rng)
        return Hostile("folder", folder, culprit or path.name)

    kinds[name] = make


def png(path, width, height, data, colour):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, colour, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def png_bomb(path, rng):
    side = int(rng.integers(6000, 8190))
    png(path, side, side, zlib.compress(bytes(side * (3 * side + 1)), 9), 2)


def tiff_absurd(path, rng):
    Image.new("RGB", (32, 24)).save(path, "TIFF")
    data = path.read_bytes()
    tags = [struct.pack("<HHI", 256, kind, 1) for kind in (3, 4)]  # the width, as 16 or 32 bits
    width = max(data.find(tag) for tag in tags)
    path.write_bytes(data[:width] + struct.pack("<HHII", 256, 4, 1, rng.integers(2**20, 2**31)) + data[width + 12 :])


def rewritten(change):
    return lambda path, rng: path.write_bytes(change(path.read_bytes(), rng))


folder_kind("image: text renamed to .png", lambda path, rng: path.write_text("cat " * int(rng.integers(1, 999))))
folder_kind("image: noise", rewritten(lambda data, rng: rng.bytes(len(data))))
folder_kind("image: PNG truncated", rewritten(lambda data, rng: data[: int(rng.integers(0, len(data) // 2))]))
folder_kind("image: PNG, a bit flipped in its header", rewritten(lambda data, rng: flip(data, rng, 16, 29)))
folder_kind("image: PNG bomb", png_bomb)
folder_kind("image: PNG of absurd size", lambda path, rng: png(path, *rng.integers(2**15, 2**31, 2), b"x", 0))
folder_kind("image: JPEG truncated", rewritten(lambda data, rng: data[: int(rng.integers(0, len(data) // 2))]), ".jpg")
folder_kind(
    "image: GIF of absurd size",
    rewritten(lambda data, rng: data[:6] + struct.pack("<2H", *rng.integers(2**14, 2**16, 2)) + data[10:]),
    ".gif",
)
folder_kind("image: TIFF of absurd size", tiff_absurd, ".tif")
folder_kind("folder: an empty class", lambda path, rng: (path.parents[1] / "yak").mkdir(), culprit="yak")
folder_kind(
    "folder: a class with one image",
    lambda path, rng: [p.unlink() for p in path.parent.iterdir() if p != path],
    culprit="got one image",
)
folder_kind("folder: a pipe named as an image", lambda path, rng: (path.unlink(), os.mkfifo(path)))


# NumPy's .npz.


def npz_kind(name, make_bytes):
    def make(folder, rng):
        folder.mkdir()
        path = folder / "mine.npz"
        path.write_bytes(make_bytes(rng))
        return Hostile("npz", path, path.name)

    KINDS[name] = make


IMAGES, LABELS = pictures(40, (6, 5, 3), 4)


def saved(save=np.savez, **arrays):
    out = io.BytesIO()
    save(out, **({"images": IMAGES, "labels": LABELS} | arrays))
    return out.getvalue()


def zipped(header, data=b"", packing=zipfile.ZIP_DEFLATED):
    text = header.encode().ljust(117) + b"\n"
    labels, out = io.BytesIO(), io.BytesIO()
    np.save(labels, LABELS)
    with zipfile.ZipFile(out, "w", packing) as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data)
        archive.writestr("labels.npy", labels.getvalue())
    return out.getvalue()


def header(*shape):
    return f"{{'descr': '|u1', 'fortran_order': False, 'shape': {tuple(map(int, shape))}, }}"


def one_pixel(rng, value):
    images = (IMAGES / 255).astype(np.float32)
    images.flat[rng.integers(images.size)] = value
    return saved(images=images)


npz_kind("npz: truncated", lambda rng: cut(saved(), rng))
npz_kind("npz: a bit flipped in the data", lambda rng: flip(saved(), rng, 200, 3000))
npz_kind("npz: an absurd shape", lambda rng: zipped(header(*rng.integers(2**20, 2**40, 3))))
npz_kind("npz: a bomb", lambda rng: zipped(header(n := rng.integers(2, 4), 2**13, 2**13), bytes(int(n) * 2**26)))
npz_kind("npz: pickled objects", lambda rng: saved(images=np.array([IMAGES, int(rng.integers(9))], object)))
npz_kind("npz: NaN or infinite", lambda rng: one_pixel(rng, (np.nan, np.inf, -np.inf)[rng.integers(3)]))
npz_kind(
    "npz: a label out of range",
    lambda rng: saved(labels=np.where(np.arange(40) == rng.integers(40), rng.choice([-5, 99]), LABELS.astype(int))),
)
npz_kind("npz: a class without images", lambda rng: saved(labels=np.where(rng.integers(3) == LABELS, 3, LABELS)))
npz_kind("npz: a path upwards", lambda rng: saved(**{"../" * int(rng.integers(1, 9)) + "evil": LABELS}))
