"""Data sets with one thing wrong, by kinds and seeds: what `experiments/hostile_data` runs, and a part of it the tests.

A kind is a function (folder, rng) -> Hostile that writes a small data set and spoils it in a way that no reader could
take for data: where a flipped bit would only be another pixel, it is not flipped.
"""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.making import cifar_archive, cifar_files, idx, pictures, tar_gz, write_folder, write_mnist


@dataclass(frozen=True)
class Hostile:
    """What to read as which data set, and what the complaint must name."""

    data: str
    path: Path
    culprit: str


KINDS: dict[str, Callable[[Path, np.random.Generator], Hostile]] = {}


def cut(data, rng):
    return data[: int(rng.integers(0, len(data) - 1))]


def flip(data, rng, start, stop):
    out = bytearray(data)
    out[int(rng.integers(start, stop))] ^= 1 << int(rng.integers(8))
    return bytes(out)


# The MNIST family: one of the four files is spoilt.


def mnist_kind(name, packed, spoil, what=None):
    def make(folder, rng):
        write_mnist(folder, packed=packed)
        part = ("train", "t10k")[int(rng.integers(2))]
        stem = f"{part}-{what or ('images-idx3', 'labels-idx1')[int(rng.integers(2))]}-ubyte"
        path = folder / (f"{stem}.gz" if packed else stem)
        path.write_bytes(spoil(path.read_bytes(), rng))
        return Hostile("mnist", folder, f"{part}-")  # where two files disagree, either may be named

    KINDS[name] = make


def absurd_idx(data, rng):
    return gzip.compress(struct.pack(">4I", 0x803, *(int(n) for n in rng.integers(2**18, 2**32, 3))) + data[:100])


def bomb_idx(data, rng):
    images = int(rng.integers(8, 13))
    return gzip.compress(struct.pack(">4I", 0x803, images, 2**12, 2**12) + bytes(images * 2**24))


mnist_kind("IDX, gzipped: truncated", True, cut)
mnist_kind("IDX, gzipped: a bit flipped", True, lambda data, rng: flip(data, rng, 10, len(data)))
mnist_kind("IDX: truncated", False, cut)
mnist_kind("IDX: a bit flipped in the header", False, lambda data, rng: flip(data, rng, 0, 8))
mnist_kind("IDX: another magic number", False, lambda data, rng: struct.pack(">I", rng.integers(2**32)) + data[4:])
mnist_kind("IDX: absurd sizes", True, absurd_idx, "images-idx3")
mnist_kind("IDX: a gzip bomb", True, bomb_idx, "images-idx3")
mnist_kind("IDX: noise", False, lambda data, rng: rng.bytes(len(data)))
mnist_kind("IDX: a page of HTML", True, lambda data, rng: b"<!DOCTYPE html><html>" * int(rng.integers(1, 99)))
mnist_kind(
    "IDX: labels out of range",
    False,
    lambda data, rng: data[:8] + rng.integers(10, 256, 20, np.uint8).tobytes() + data[28:],
    "labels-idx1",
)
mnist_kind(
    "IDX: images missing",
    False,
    lambda data, rng: idx(pictures(int(rng.integers(1, 19)), (28, 28), 10)[0]),
    "images-idx3",
)


# CIFAR, in a folder and as an archive.


def cifar_kind(name, spoil):
    """`spoil` ({name: bytes}, rng, a file's name) -> the bytes of an archive, or {name: bytes} for a folder."""

    def make(folder, rng):
        files = cifar_files()[0]
        victim = f"data_batch_{rng.integers(1, 6)}.bin"
        spoilt = spoil(files, rng, victim)
        folder.mkdir()
        if isinstance(spoilt, dict):
            for file, data in spoilt.items():
                (folder / file).write_bytes(data)
            return Hostile("cifar10", folder, victim if victim in spoilt else "data_batch_")
        path = folder / "cifar-10-binary.tar.gz"
        path.write_bytes(spoilt)
        return Hostile("cifar10", path, path.name)

    KINDS[name] = make


def with_member(files, name, data=b"", **fields):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for field, value in fields.items():
        setattr(member, field, value)
    return tar_gz([(member, data), *files.items()])


def absurd_member(files, rng, victim):
    member = tarfile.TarInfo(victim)
    member.size = int(rng.integers(2**35, 2**60))
    return gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + files[victim])


def pickled(files, rng, victim):
    return {name.removesuffix(".bin"): pickle.dumps({"data": data}) for name, data in files.items()}


def tar_flip(files, rng, victim):
    raw = bytearray(gzip.decompress(cifar_archive(files)))
    whole = gzip.compress(bytes(raw), mtime=0)
    raw[int(rng.integers(0, len(raw)))] ^= 1 << int(rng.integers(8))
    return gzip.compress(bytes(raw), mtime=0)[:-8] + whole[-8:]  # deflate is right, the checksum is the old one


LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
cifar_kind("CIFAR: a record truncated", lambda f, rng, v: f | {v: f[v][: -int(rng.integers(1, 3073))]})
cifar_kind("CIFAR: a label out of range", lambda f, rng, v: f | {v: bytes([rng.integers(10, 256)]) + f[v][1:]})
cifar_kind("CIFAR: a file empty", lambda f, rng, v: f | {v: b""})
cifar_kind("CIFAR: the pickled version", pickled)
cifar_kind("CIFAR, archive: truncated", lambda f, rng, v: cut(cifar_archive(f), rng))
cifar_kind("CIFAR, archive: a bit flipped", lambda f, rng, v: flip(cifar_archive(f), rng, 10, 9000))
cifar_kind("CIFAR, archive: a bit flipped before packing", tar_flip)
cifar_kind(
    "CIFAR, archive: a path upwards", lambda f, rng, v: with_member(f, "../" * int(rng.integers(1, 9)) + v, b"x")
)
cifar_kind("CIFAR, archive: an absolute path", lambda f, rng, v: with_member(f, f"/tmp/{rng.integers(99)}/{v}", b"x"))
cifar_kind(
    "CIFAR, archive: a link or a device",
    lambda f, rng, v: with_member(f, v, type=LINKS[rng.integers(4)], linkname="/etc/passwd"),
)
cifar_kind("CIFAR, archive: an absurd size", absurd_member)
cifar_kind("CIFAR, archive: a bomb", lambda f, rng, v: with_member(f, "zeros", bytes(2**27 + int(rng.integers(2**26)))))


# A folder of images: one of them is spoilt, or the folder itself.


def folder_kind(name, spoil, suffix=".png", culprit=None):
    def make(folder, rng):
        write_folder(folder, suffix=suffix, side=(24, 32))
        path = folder / ("cat", "dog", "owl")[rng.integers(3)] / f"{rng.integers(5)}{suffix}"
        spoil(path, rng)
        return Hostile("folder", folder, culprit or path.name)

    KINDS[name] = make


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
folder_kind("folder: a folder named as an image", lambda path, rng: (path.unlink(), path.mkdir()))


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


def spoilt_pixel(rng, value):
    images = (IMAGES / 255).astype(np.float32)
    images.flat[rng.integers(images.size)] = value
    return saved(images=images)


npz_kind("npz: truncated", lambda rng: cut(saved(), rng))
npz_kind("npz: a bit flipped in the data", lambda rng: flip(saved(), rng, 200, 3000))
npz_kind("npz: an absurd shape", lambda rng: zipped(header(*rng.integers(2**20, 2**40, 3))))
npz_kind("npz: a bomb", lambda rng: zipped(header(n := rng.integers(2, 4), 2**13, 2**13), bytes(int(n) * 2**26)))
npz_kind("npz: pickled objects", lambda rng: saved(images=np.array([IMAGES, int(rng.integers(9))], object)))
npz_kind("npz: NaN or infinite", lambda rng: spoilt_pixel(rng, (np.nan, np.inf, -np.inf)[rng.integers(3)]))
npz_kind(
    "npz: a label out of range",
    lambda rng: saved(labels=np.where(np.arange(40) == rng.integers(40), rng.choice([-5, 99]), LABELS.astype(int))),
)
npz_kind("npz: a class without images", lambda rng: saved(labels=np.where(rng.integers(3) == LABELS, 3, LABELS)))
npz_kind("npz: a path upwards", lambda rng: saved(**{"../" * int(rng.integers(1, 9)) + "evil": LABELS}))


def unspoilt(folder):
    """The same data sets with nothing wrong: what refuses these refuses everything."""
    write_mnist(folder / "mnist", packed=False)
    write_folder(folder / "images")
    (folder / "cifar.tar.gz").write_bytes(cifar_archive(cifar_files()[0]))
    (folder / "mine.npz").write_bytes(saved())
    places = {"mnist": "mnist", "folder": "images", "cifar10": "cifar.tar.gz", "npz": "mine.npz"}
    return [Hostile(data, folder / place, "") for data, place in places.items()]
