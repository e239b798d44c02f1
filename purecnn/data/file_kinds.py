"""The format of a file by its first bytes, not its name: the formats that are read, and those that are not."""

from __future__ import annotations

import importlib.util
import logging
from functools import cache
from pathlib import Path

from PIL import features

# Position and value of the first bytes, and the format. Formats of the second table are named when they are refused.
SIGNATURES = {
    "PNG": [(0, b"\x89PNG")],
    "JPEG": [(0, b"\xff\xd8\xff")],
    "GIF": [(0, b"GIF8")],
    "BMP": [(0, b"BM")],
    "TIFF": [(0, sign) for sign in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")],
    "WEBP": [(8, b"WEBP")],
    "PPM": [(0, b"P%d%c" % (n, space)) for n in range(1, 7) for space in b" \t\n\r"],
    "AVIF": [(4, b"ftypavi")],
    "HEIC": [(4, b"ftyp" + brand) for brand in (b"hei", b"hev", b"mif1", b"msf1")],
}
NO_IMAGE = "is no image, or none that can be read"
HEAD = 262  # bytes
TGA = ".tga"  # a format without a sign at its beginning
SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"}
STRANGERS = {
    "a PDF": [(0, b"%PDF")],
    "PostScript": [(0, b"%!PS")],
    "a Photoshop file": [(0, b"8BPS")],
    "JPEG XL": [(0, b"\xff\x0a"), (4, b"JXL ")],
    "JPEG 2000": [(4, b"jP  "), (0, b"\xff\x4f\xff\x51")],
    "a ZIP archive": [(0, b"PK\x03\x04")],
    "a gzip archive": [(0, b"\x1f\x8b")],
    "SVG or XML": [(0, b"<svg"), (0, b"<?xml")],
    "a web page": [(0, start) for start in (b"<!DOCTYPE html", b"<!doctype html", b"<html", b"<HTML")],
    "one array of NumPy": [(0, b"\x93NUMPY")],
    "a Git LFS pointer": [(0, b"version https://git-lfs")],
    "HDF5, as Keras writes it": [(0, b"\x89HDF\r\n\x1a\n")],
    "Parquet": [(0, b"PAR1")],
    "an old workbook of Excel": [(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")],
    "an icon": [(0, b"\0\0\1\0")],
    "DICOM": [(128, b"DICM")],
    "OpenEXR": [(0, b"\x76\x2f\x31\x01")],
    "FITS": [(0, b"SIMPLE  =")],
    "a raw photograph": [(0, b"FUJIFILMCCD-RAW"), (4, b"ftypcrx"), (0, b"IIRO"), (0, b"IIRS"), (0, b"IIU\0")],
    "Radiance HDR": [(0, b"#?RADIANCE"), (0, b"#?RGBE")],
    "a DDS texture": [(0, b"DDS ")],
    "a tar archive": [(257, b"ustar")],
    "a RAR archive": [(0, b"Rar!")],
    "a 7z archive": [(0, b"7z\xbc\xaf\x27\x1c")],
    "a video": [(4, b"ftyp"), (0, b"\x1a\x45\xdf\xa3"), (8, b"AVI ")],
    "a pickle of Python": [(0, b"\x80%c" % protocol) for protocol in range(2, 6)],
}

PICTURES = {
    "a Photoshop file", "JPEG XL", "JPEG 2000", "DICOM", "OpenEXR", "FITS", "a raw photograph", "Radiance HDR",
    "a DDS texture",
}  # fmt: skip
"""Of STRANGERS those that were meant to be seen, whoever hands over a folder of images."""


@cache
def formats() -> tuple[str, ...]:
    """The formats that are read, by content and not by name. Others that Pillow reads start programs (EPS).

    AVIF where Pillow was built with it, HEIC where the package pillow-heif is installed.
    """
    logging.getLogger("PIL.TiffImagePlugin").setLevel(logging.CRITICAL)  # it logs, without a name, what it raises too
    found = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
    if "avif" in features.modules and features.check("avif"):  # older releases warn of a feature they do not know
        found += ("AVIF",)
    if importlib.util.find_spec("pillow_heif") is not None:
        import pillow_heif  # type: ignore[reportMissingImports]

        pillow_heif.register_heif_opener()
        found += ("HEIF",)
    return found


def kind_of(path: Path) -> str:
    """What a file is by its first bytes: a format of SIGNATURES, one of STRANGERS, or "". Raises OSError."""
    if not path.is_file():  # reading a pipe could wait forever
        return ""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    tables = (SIGNATURES | STRANGERS).items()
    return next((kind for kind, signs in tables if any(head[at:].startswith(sign) for at, sign in signs)), "")


def may_be_image(path: Path) -> bool:
    """Judged by its suffix, or else by its first bytes; what may not be opened may be one, other broken files not."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        return kind_of(path) in SIGNATURES
    except OSError as error:
        return isinstance(error, PermissionError)


def is_strange_picture(path: Path) -> bool:
    """Whether it is a picture of a format that is not read: one that `may_be_image` says nothing of."""
    try:
        return path.suffix.lower() == TGA or kind_of(path) in PICTURES
    except OSError:
        return False


def reason_of(path: Path) -> str:
    """The reason why Pillow cannot read a file, in words."""
    if path.stat().st_size == 0:
        return "is empty"
    kind = kind_of(path)
    if kind == "HEIC":
        return "is HEIC, which is not supported here: pip install pillow-heif, or convert it"
    if kind == "AVIF" and "AVIF" not in formats():
        return "is AVIF, which is not supported by this Pillow: install a newer one, or convert it"
    if kind == "a Git LFS pointer":
        return "is a Git LFS pointer in the place of the file; git lfs pull fetches it"
    if "archive" in kind:
        return f"is {kind}, which is not supported: unpack it"
    if kind in STRANGERS:
        return f"is {kind}, which is not supported"
    if kind == "TIFF":
        return "is TIFF that is damaged, or of a form that is not read, as of many bands; an .npz holds any channels"
    if path.suffix.lower() == TGA:
        return "is TGA, which is not supported"
    return NO_IMAGE
