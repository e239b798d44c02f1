"""Corrupt files of other kinds in folders of images: streams that end, archives, names, tables of labels."""

import gzip
import io
import os
import unicodedata
import zipfile
from functools import partial

import numpy as np
from PIL import Image

from tests.data import hostile_own
from tests.data.corrupting import Hostile, Kinds, flip
from tests.data.hostile_own import png, rewritten
from tests.data.making import pictures, write_folder

KINDS: Kinds = {}
folder_kind = partial(hostile_own.folder_kind, kinds=KINDS)


# Streams of compressed pixels that end, or say other than they are.


def in_format(kind, corrupt, **options):
    """The picture saved as `kind`, then `corrupt` (bytes, rng) -> bytes."""

    def change(path, rng):
        out = io.BytesIO()
        Image.fromarray(pictures(1, (48, 64, 3), 1, int(rng.integers(99)))[0][0]).save(out, kind, **options)
        path.write_bytes(corrupt(out.getvalue(), rng))

    return change


def half(data, rng):
    return data[: int(rng.integers(len(data) // 4, len(data) // 2))]


def second_idat_gone(path, rng):
    """A PNG whose pixels go on in a chunk that is not there."""
    image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    out = io.BytesIO()
    image.save(out, "PNG")
    data = out.getvalue()
    path.write_bytes(data[: data.find(b"IDAT") + 4 + int(rng.integers(2000, 9000))])


def wrong_chunk(data, rng):
    place = data.find(b"IDAT")
    return flip(data, rng, place, place + 4)


folder_kind("stream: PNG ends within its pixels", second_idat_gone)
folder_kind("stream: PNG, a bit flipped in a chunk's name", rewritten(wrong_chunk))
folder_kind("stream: progressive JPEG, half", in_format("JPEG", half, progressive=True, quality=95), ".jpg")
folder_kind("stream: WebP, half", in_format("WEBP", half, lossless=True), ".webp")
folder_kind("stream: TIFF of deflate, half", in_format("TIFF", half, compression="tiff_deflate"), ".tif")
folder_kind("stream: BMP, half", in_format("BMP", half), ".bmp")
folder_kind("stream: PPM, half", in_format("PPM", half), ".ppm")
folder_kind("stream: GIF, half", in_format("GIF", half), ".gif")


# Archives where an image is expected, and a giant.


def zipped(path, rng):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../" * int(rng.integers(9)) + path.name, path.read_bytes())
    path.write_bytes(out.getvalue())


folder_kind("archive: a ZIP named as an image", zipped)
folder_kind("archive: an image in gzip", rewritten(lambda data, rng: gzip.compress(data * int(rng.integers(1, 5)))))
folder_kind("archive: a gzip bomb as an image", rewritten(lambda data, rng: gzip.compress(bytes(2**27))))
folder_kind("giant: more pixels than are read", lambda path, rng: png(path, *rng.integers(8001, 12000, 2), b"x", 6))


# Names.


def renamed(path, rng):
    """An empty file under a name that no terminal should be sent."""
    signs = ["\n", "\x1b[31m", "\r", "\u202e", os.fsdecode(b"\xff")]
    path.rename(path.with_name(f"evil{signs[int(rng.integers(5))]}{int(rng.integers(99))}.png"))
    next(path.parent.glob("evil*")).write_bytes(b"")


def twice(path, rng):
    """A class that is there under two forms of its name, in one of them with an image that is none."""
    name = ("Käfer", "Ōkami", "naïve")[int(rng.integers(3))]
    for form in ("NFC", "NFD"):
        folder = path.parents[1] / unicodedata.normalize(form, name)
        folder.mkdir()
        (folder / path.name).write_bytes(path.read_bytes() if form == "NFC" else rng.bytes(99))


folder_kind("name: of an empty file, with control signs", renamed, culprit="evil")
folder_kind("name: a class in two forms of Unicode", twice)
folder_kind(
    "name: a class with a control sign",
    lambda path, rng: path.parent.rename(path.parents[1] / f"cl{chr(int(rng.integers(1, 32)))}ss".replace("\n", "\r")),
    culprit="ss: expected a class name",
)


# Tables of labels.


def table_kind(name, corrupt):
    def make(folder, rng):
        made = write_folder(folder)
        lines = ["file,class", *(f"{path.relative_to(folder)},{path.parent.name}" for path in made)]
        (folder / "labels.csv").write_bytes(corrupt(lines, rng, int(rng.integers(1, len(lines)))))
        return Hostile("folder", folder, "labels.csv", {"labels": str(folder / "labels.csv")})

    KINDS[name] = make


def a_line(change):
    def corrupt(lines, rng, n):
        return "\n".join([*lines[:n], change(lines[n], rng), *lines[n:]]).encode()

    return corrupt


TABLES = {
    "a path upwards": a_line(lambda line, rng: "../" * int(rng.integers(1, 9)) + line),
    "a null": a_line(lambda line, rng: line[:3] + "\0" + line[3:]),
    "two classes": a_line(lambda line, rng: line.split(",")[0] + ",yak"),
    "an empty cell": a_line(lambda line, rng: line.split(",")[0] + ","),
    "no heads": lambda lines, rng, n: "\n".join(lines[1:]).encode(),
}


def any_table(lines, rng, n):
    return list(TABLES.values())[int(rng.integers(len(TABLES)))](lines, rng, n)


table_kind("labels: a table with one fault", any_table)
