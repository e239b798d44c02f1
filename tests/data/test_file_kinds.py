import struct

import numpy as np
import pytest
from PIL import Image, features

from purecnn.data.file_kinds import PICTURES, SIGNATURES, STRANGERS, kind_of, reason_of
from purecnn.data.folder import read_image
from purecnn.data.image_file import read_header


@pytest.mark.parametrize("kind", [kind for kind in SIGNATURES if kind != "HEIC"])
def test_what_pillow_writes_is_known_by_its_first_bytes_and_read_whatever_it_is_called(tmp_path, kind):
    if kind == "AVIF" and "avif" not in features.get_supported_modules():
        pytest.skip("this Pillow was built without AVIF")
    path = tmp_path / "picture.xyz"
    Image.fromarray(np.zeros((4, 6, 3), np.uint8)).save(path, kind)
    assert kind_of(path) == kind
    assert read_header(path)[:2] == (4, 6)


def test_every_stranger_is_named(tmp_path):
    path = tmp_path / "a.jpg"
    for kind, ((place, sign), *_) in STRANGERS.items():
        path.write_bytes(bytes(place) + sign + b"...")
        assert kind_of(path) == kind
        lfs = "is a Git LFS pointer in the place of the file; git lfs pull fetches it"
        unpack = ": unpack it" if "archive" in kind else ""
        assert reason_of(path) == (lfs if "LFS" in kind else f"is {kind}, which is not supported{unpack}")
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert kind_of(path) == "HEIC"
    assert reason_of(path).startswith("is HEIC, which is not supported here: pip install pillow-heif")
    path.with_suffix(".tga").write_bytes(bytes(99))
    assert reason_of(path.with_suffix(".tga")) == "is TGA, which is not supported"
    for nothing, reason in ((b"", "is empty"), (b"P9 ", "is no image, or none that can be read")):
        path.write_bytes(nothing)
        assert (kind_of(path), reason_of(path)) == ("", reason)


def test_a_tiff_that_pillow_does_not_read_is_told_what_may_be_wrong_with_it(tmp_path, caplog):
    """As those of satellites, with thirteen bands."""
    entries = [(256, 1), (257, 1), (258, 16), (262, 1), (273, 8), (277, 13), (278, 1), (279, 26)]
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    (tmp_path / "a.tif").write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(40))
    with pytest.raises(ValueError, match=r"a\.tif: is TIFF that is damaged, or of a form that is not read, as of many"):
        read_image(tmp_path / "a.tif", (1, 1, 3))
    assert caplog.messages == []


def test_strange_pictures_are_some_of_the_strangers():
    assert set(STRANGERS) > PICTURES
