"""Corrupt files of the published sets: the MNIST family and CIFAR."""

import gzip
import pickle
import struct
import tarfile

import numpy as np

from tests.data.corrupting import Hostile, Kinds, cut, flip
from tests.data.making import cifar_archive, cifar_files, idx, pictures, tar_gz, write_mnist

KINDS: Kinds = {}


# The MNIST family: one of the four files is corrupt.


def mnist_kind(name, packed, corrupt, what=None):
    def make(folder, rng):
        write_mnist(folder, packed=packed)
        part = ("train", "t10k")[int(rng.integers(2))]
        stem = f"{part}-{what or ('images-idx3', 'labels-idx1')[int(rng.integers(2))]}-ubyte"
        path = folder / (f"{stem}.gz" if packed else stem)
        path.write_bytes(corrupt(path.read_bytes(), rng))
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


def cifar_kind(name, corrupt):
    """`corrupt` ({name: bytes}, rng, a file's name) -> the bytes of an archive, or {name: bytes} for a folder."""

    def make(folder, rng):
        files = cifar_files()[0]
        victim = f"data_batch_{rng.integers(1, 6)}.bin"
        made = corrupt(files, rng, victim)
        folder.mkdir()
        if isinstance(made, dict):
            for file, data in made.items():
                (folder / file).write_bytes(data)
            return Hostile("cifar10", folder, victim if victim in made else "data_batch_")
        path = folder / "cifar-10-binary.tar.gz"
        path.write_bytes(made)
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
