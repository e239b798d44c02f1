"""Data sets of any size, written in the real formats, with other code than the readers'."""

import gzip
import io
import os
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

CIFAR_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def pictures(count, shape, classes, seed=0):
    """uint8 (count, *shape) and labels that go round: a class is a grey of its own, noise on it."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    noise = rng.integers(-20, 21, (count, *shape), np.int8)
    grey = (30 + 195 * labels // max(classes - 1, 1)).reshape(-1, *[1] * len(shape)).astype(np.int16)
    return (grey + noise).astype(np.uint8), labels.astype(np.uint8)


def idx(array):
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder, *, train=60, test=20, side=28, packed=True, dark=0.0):
    """The four files, the share `dark` of their pixels 0; returns (train images, labels), (test images, labels)."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for part, count, seed in (("train", train, 0), ("t10k", test, 1)):
        made[part] = images, labels = pictures(count, (side, side), 10, seed)
        if dark:
            images[np.random.default_rng(seed).random(images.shape, np.float32) < dark] = 0
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array), 6, mtime=0))
            else:
                (folder / name).write_bytes(idx(array))
    return made["train"], made["t10k"]


def cifar_files(kind="cifar10", train=60, test=20):
    """{name: bytes}, and what is in them: (train images N H W C, labels), (test images, labels)."""
    fine = 10 if kind == "cifar10" else 100
    names = [f"data_batch_{n}.bin" for n in range(1, 6)] if kind == "cifar10" else ["train.bin"]
    files, made = {}, {}
    for part, count, seed in (("train", train, 0), ("test", test, 1)):
        made[part] = images, labels = pictures(count, (32, 32, 3), fine, seed)
        records = [
            (b"" if kind == "cifar10" else bytes([label // 5])) + bytes([label]) + image.transpose(2, 0, 1).tobytes()
            for image, label in zip(images, labels, strict=True)
        ]
        parts = names if part == "train" else ["test_batch.bin" if kind == "cifar10" else "test.bin"]
        each = count // len(parts)
        for n, name in enumerate(parts):
            files[name] = b"".join(records[n * each : (n + 1) * each])
    text = "\n".join(CIFAR_NAMES if kind == "cifar10" else (f"thing_{n}" for n in range(100))) + "\n\n"
    files["batches.meta.txt" if kind == "cifar10" else "fine_label_names.txt"] = text.encode()
    return files, made["train"], made["test"]


def tar_gz(members, level=6):
    """An archive of [(name or TarInfo, bytes)]."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=level) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            if isinstance(name, str):
                member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def cifar_archive(files, kind="cifar10"):
    folder = "cifar-10-batches-bin" if kind == "cifar10" else "cifar-100-binary"
    return tar_gz([(f"{folder}/{name}", data) for name, data in files.items()])


def write_folder(root, *, classes=("cat", "dog", "owl"), each=5, side=(6, 8), suffix=".png", mode="RGB"):
    """root/CLASS/N.suffix; returns {path: pixels}. No two are alike, not even in train and test."""
    made = {}
    for name in classes:
        (Path(root) / name).mkdir(parents=True, exist_ok=True)
        for n in range(each):
            seed = zlib.crc32(os.fsencode(f"{Path(root).name}/{name}/{n}"))
            pixels, _ = pictures(1, (*side, 3), 1, seed)
            image = Image.fromarray(pixels[0]).convert(mode)
            path = Path(root) / name / f"{n}{suffix}"
            image.save(path)
            made[path] = np.asarray(image)
    return made


def declaring(path, side, colour):
    """A PNG whose header declares side×side pixels; its data should never be reached."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">2I5B", side, side, 8, colour, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(2**16))) + chunk(b"IEND", b""))
