"""A folder of images as arrays: modes, formats, corrupt files, what is left out."""

import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

from purecnn.data import readers
from tests.data.making import declaring, write_folder

# One picture in many forms is the same picture: tests/data/test_suspicions.py.
pytestmark = pytest.mark.filterwarnings("ignore:.* (are also among those to train on|two classes)")
read = partial(readers.read, val_share=0.0)  # nothing held out to validate: tests/data/test_holdout.py


def test_pixels_labels_and_classes_are_those_of_the_files(tmp_path):
    made = write_folder(tmp_path / "pets", each=10)
    data = read("folder", str(tmp_path / "pets"))
    assert (data.name, data.classes) == ("pets", ("cat", "dog", "owl"))
    assert data.train.images.shape == (24, 6, 8, 3)
    assert (data.train.images.dtype, data.train.labels.dtype) == (np.uint8, np.int32)
    np.testing.assert_array_equal(np.bincount(data.test.labels), [2, 2, 2])
    known = {pixels.tobytes(): data.classes.index(path.parent.name) for path, pixels in made.items()}
    found = [(image.tobytes(), label) for split in (data.train, data.test)
             for image, label in zip(split.images, split.labels, strict=True)]  # fmt: skip
    assert sorted(found) == sorted(known.items())


def test_mixed_sizes_name_two_files_unless_a_size_is_asked_for(tmp_path):
    write_folder(tmp_path)
    odd = tmp_path / "dog" / "1.png"
    Image.new("RGB", (30, 10), (10, 200, 30)).save(odd)
    with pytest.raises(ValueError, match=r"cat/\d.png: 6×8 pixels, .*dog/1.png: 10×30; expected one size") as caught:
        read("folder", str(tmp_path))
    assert str(caught.value).startswith(str(tmp_path))
    data = read("folder", str(tmp_path), image_size=(5, 7))
    assert data.train.images.shape[1:] == data.test.images.shape[1:] == (5, 7, 3)
    images = np.concatenate([data.train.images, data.test.images])
    assert (images == np.array([10, 200, 30], np.uint8)).all(axis=(1, 2, 3)).sum() == 1


def one(tmp_path, image, name="9.png", other="RGB", **options):
    """What a single image of class b becomes, beside others of class a in mode `other`."""
    write_folder(tmp_path, classes=("a", "b"), each=2, side=(image.height, image.width), mode=other)
    (tmp_path / "b" / "1.png").unlink()
    for path in (tmp_path / "b" / "0.png", tmp_path / "b" / "1.png"):
        path.unlink(missing_ok=True)
    for n in range(2):
        image.save(tmp_path / "b" / f"{n}{name}", **options)
    data = read("folder", str(tmp_path))
    (pixels,) = data.test.images[data.test.labels == 1]
    return pixels


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "CMYK", "I;16"])
def test_every_mode_becomes_rgb_beside_a_coloured_image(tmp_path, mode):
    grey = np.array([[0, 64], [128, 255], [255, 0]], np.uint8)
    if mode == "1":
        grey = (grey > 100) * np.uint8(255)
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    assert image.mode == mode
    pixels = one(tmp_path, image, ".tif" if mode == "CMYK" else ".png")
    np.testing.assert_array_equal(pixels, np.repeat(grey[..., None], 3, axis=2))


def test_grey_images_alone_keep_one_channel(tmp_path):
    made = write_folder(tmp_path, mode="L", each=2)
    data = read("folder", str(tmp_path))
    assert data.train.images.shape == (3, 6, 8, 1)
    assert {image.tobytes() for image in data.train.images} < {pixels.tobytes() for pixels in made.values()}


def test_what_is_transparent_is_white_paper(tmp_path):
    pixels = np.full((2, 2, 4), 100, np.uint8)
    pixels[..., 3] = [[0, 255], [51, 255]]
    np.testing.assert_array_equal(one(tmp_path, Image.fromarray(pixels))[..., 0], [[255, 100], [224, 100]])


def test_the_camera_says_what_is_up(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was rotated: to be shown a quarter to the right
    write_folder(tmp_path, classes=("a", "b"), each=2, side=(8, 16))
    picture = np.zeros((16, 8, 3), np.uint8)
    picture[:8] = 255
    for n in range(2):
        Image.fromarray(picture).save(tmp_path / "b" / f"{n}.png", exif=exif)
    data = read("folder", str(tmp_path))
    (rotated,) = data.test.images[data.test.labels == 1]
    np.testing.assert_array_equal(rotated, np.rot90(picture, -1))


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".gif", ".webp", ".ppm", ".tiff"])
def test_other_formats(tmp_path, suffix):
    write_folder(tmp_path, side=(16, 16), suffix=suffix)
    data = read("folder", str(tmp_path))
    assert data.train.images.shape == (12, 16, 16, 3)
    means = [data.train.images[data.train.labels == label].mean() for label in range(3)]
    assert len(set(means)) == 3


def test_a_large_photograph_is_decoded_small_and_still_looks_the_same(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        ramp = np.tile(np.linspace(0, 255, 1200).astype(np.uint8)[None, :, None], (900, 1, 3))
        for n in range(2):
            Image.fromarray(ramp).save(tmp_path / name / f"{n}.jpg", quality=95)
    small = read("folder", str(tmp_path), image_size=(9, 12)).test.images[0, :, :, 0]
    expected = np.asarray(Image.fromarray(ramp).resize((12, 9), Image.Resampling.BILINEAR))[..., 0]
    np.testing.assert_allclose(small.astype(int), expected, atol=3)


CORRUPT = {
    "text": (lambda path: path.write_text("cat, sitting"), "is no image, or none that can be read"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-30]), "truncated|unrecognized|broken"),
    "EPS": (lambda path: Image.new("RGB", (8, 6)).save(path, "EPS"), "is PostScript, which is not supported"),
    "absurd size": (lambda path: declaring(path, 2**30, 0), "bytes, expected at most half of the available memory"),
    "too large": (lambda path: declaring(path, 9000, 0), "at most 64 million; --max-megapixels 81 reads"),
    "bomb": (lambda path: declaring(path, 8000, 2), r"declares 192,000,000 bytes in \d+; .*bomb; --max-megapixels 65"),
    "float": (lambda path: Image.new("F", (8, 6)).save(path, "TIFF"), "32 bits a pixel, expected 8 or 16; scale them"),
    "a note": (
        lambda path: path.with_name("note.txt").write_text("x"),
        "note.txt: is no image, or none that can be read",
    ),
    "a PDF": (lambda path: path.with_name("note.pdf").write_bytes(b"%PDF-1.7"), "note.pdf: is a PDF, which is not"),
    "HEIC": (
        lambda path: path.with_suffix(".heic").write_bytes(b"\0\0\0\x18ftypheic"),
        "3.heic: is HEIC, which is not",
    ),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "is not a regular file"),
    "a dead link": (lambda path: (path.unlink(), path.symlink_to("nowhere")), "there is no such file"),
}


@pytest.mark.parametrize("kind", CORRUPT)
def test_a_corrupt_image_is_named_with_the_reason(tmp_path, kind):
    write_folder(tmp_path)
    corrupt, reason = CORRUPT[kind]
    corrupt(tmp_path / "dog" / "3.png")
    with pytest.raises(ValueError, match=reason) as caught:
        read("folder", str(tmp_path), image_size=(4, 4))
    assert str(caught.value).startswith(str(tmp_path / "dog"))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; --skip-unreadable leaves out what cannot be read")


def test_many_corrupt_images_are_counted(tmp_path):
    made = write_folder(tmp_path)
    for path in list(made)[:9]:
        path.write_text("no image")
    with pytest.raises(ValueError, match=r"cat/4.png: is no image.*; and 4 more; --skip-unreadable"):
        read("folder", str(tmp_path))


def test_a_set_that_is_nearly_black_is_a_warning(tmp_path):
    """As Pillow reads colours of 12 bits in files of 16."""
    write_folder(tmp_path)
    for n, path in enumerate(sorted(tmp_path.rglob("*.png"))):
        Image.new("RGB", (8, 6), (n, 1, 0)).save(path)
    with pytest.warns(
        UserWarning, match="no pixel of any image is above 14 of 255; of 16-bit colours only the upper 8"
    ):
        read("folder", str(tmp_path))


def corrupt_set(root):
    """Two kinds of foreign files and three of images that cannot be read; what is left out, by name."""
    write_folder(root, each=10)
    (root / "cat" / "0.xmp").write_text("<x:xmpmeta>")
    (root / "cat" / "0.json").write_text("{}")
    for name, data in (("cat/3", b""), ("dog/4", b"text"), ("owl/5", (root / "owl" / "5.png").read_bytes()[:-30])):
        (root / f"{name}.png").write_bytes(data)
    return ["cat/0.json", "cat/0.xmp", "cat/3.png", "dog/4.png", "owl/5.png"]


def test_what_cannot_be_read_is_left_out_and_listed(tmp_path):
    bad = corrupt_set(tmp_path / "pets")
    with pytest.raises(ValueError, match=r"cat/0\.json, .*cat/0\.xmp: is no image, or none .* read; --skip-unreadable"):
        read("folder", str(tmp_path / "pets"))
    data = read("folder", str(tmp_path / "pets"), skip_unreadable=True)
    assert [line.split(": ")[0] for line in data.skipped] == [str(tmp_path / "pets" / name) for name in bad]
    assert data.notes[1:] == ("left out 5 files that cannot be read:", *(f"  {line}" for line in data.skipped))
    assert len(data.train) + len(data.test) == 27
    write_folder(tmp_path / "whole" / "pets", each=10)
    whole = read("folder", str(tmp_path / "whole" / "pets"))
    for split, known in ((data.train, whole.train), (data.test, whole.test)):
        images = dict(zip(known.names, known.images, strict=True))
        assert split.names == tuple(name for name in known.names if name not in bad)
        np.testing.assert_array_equal(split.images, [images[name] for name in split.names])
        assert [data.classes[label] for label in split.labels] == [name.split("/")[0] for name in split.names]


def test_a_stream_leaves_out_the_same_files_before_it_begins(tmp_path):
    corrupt_set(tmp_path)
    whole = read("folder", str(tmp_path), image_size=6, skip_unreadable=True, streaming="never")
    stream = read("folder", str(tmp_path), image_size=6, skip_unreadable=True, streaming="always")
    assert stream.skipped == whole.skipped
    for split, known in zip(stream.splits().values(), whole.splits().values(), strict=True):
        assert tuple(split.names) == known.names
        np.testing.assert_array_equal(split.images, known.images)
        np.testing.assert_array_equal(split.labels, known.labels)


def test_a_class_of_which_nothing_can_be_read_is_an_error_all_the_same(tmp_path):
    write_folder(tmp_path)
    for path in (tmp_path / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"class dog has no image to train on that can be read: .*dog/\d\.png: is empty"
    ):
        read("folder", str(tmp_path), skip_unreadable=True)


def test_many_left_out_are_counted(tmp_path):
    for path in list(write_folder(tmp_path, each=10))[:8]:
        path.write_text("no image")
    notes = read("folder", str(tmp_path), skip_unreadable=True).notes
    assert (len(notes), notes[1], notes[-1]) == (8, "left out 8 files that cannot be read:", "  and 3 more")


def test_twelve_bits_in_files_of_sixteen_are_seen_in_the_whole_set(tmp_path):
    for label, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        for n in range(5):
            values = np.full((2, 3), 4095 if label and n else 819, np.uint16)
            Image.fromarray(values).save(tmp_path / name / f"{n}.png")
    data = read("folder", str(tmp_path))
    assert set(np.unique(data.train.images)) == {51, 255}
    assert data.decoding.white == 4095
    assert data.notes[-1] == "16-bit files: no value is above 4,095, so they are read as 12 bits (4,095 is white)"
    with pytest.warns(UserWarning, match="no pixel of any image is above 15 of 255"):
        assert set(np.unique(read("folder", str(tmp_path), white=65535).train.images)) == {3, 15}
    Image.fromarray(np.full((2, 3), 60000, np.uint16)).save(tmp_path / "a" / "0.png")
    assert read("folder", str(tmp_path)).decoding.white == 65535


def test_a_complaint_stays_one_line_whatever_a_file_is_called(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "cat" / "a\nb\x1b[31m.png").write_text("no image")
    with pytest.raises(ValueError, match=r"a\\nb\\x1b\[31m.png: is no image"):
        read("folder", str(tmp_path))


def test_more_than_the_memory_is_refused_before_it_is_taken(tmp_path):
    write_folder(tmp_path)
    with pytest.raises(ValueError, match="expected at most half of the available memory"):
        read("folder", str(tmp_path), image_size=(200_000, 200_000))
