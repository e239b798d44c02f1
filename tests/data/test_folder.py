import os
import shutil
import struct
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image

from purecnn.data import readers
from tests.data.making import write_folder

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


def test_the_held_out_images_stay_held_out_when_others_come_and_go(tmp_path):
    write_folder(tmp_path, each=20)

    def test_images():
        return {image.tobytes() for image in read("folder", str(tmp_path)).test.images}

    before = test_images()
    assert before == test_images()
    (tmp_path / "cat" / "3.png").unlink()
    shutil.copy(tmp_path / "dog" / "4.png", tmp_path / "dog" / "new.png")
    assert len(before & test_images()) >= len(before) - 2


@pytest.mark.parametrize("second", ["test", "val"])
def test_train_and_test_folders_are_taken_as_they_are(tmp_path, second):
    train = write_folder(tmp_path / "train", each=3)
    test = write_folder(tmp_path / second, each=1)
    data = read("folder", str(tmp_path))
    np.testing.assert_array_equal(data.train.images, list(train.values()))
    np.testing.assert_array_equal(data.test.images, list(test.values()))
    np.testing.assert_array_equal(data.test.labels, [0, 1, 2])


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


def test_what_is_transparent_is_black(tmp_path):
    pixels = np.full((2, 2, 4), 200, np.uint8)
    pixels[..., 3] = [[0, 255], [51, 255]]
    np.testing.assert_array_equal(one(tmp_path, Image.fromarray(pixels))[..., 0], [[0, 200], [40, 200]])


def test_the_camera_says_what_is_up(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: to be shown a quarter to the right
    write_folder(tmp_path, classes=("a", "b"), each=2, side=(8, 16))
    picture = np.zeros((16, 8, 3), np.uint8)
    picture[:8] = 255
    for n in range(2):
        Image.fromarray(picture).save(tmp_path / "b" / f"{n}.png", exif=exif)
    data = read("folder", str(tmp_path))
    (turned,) = data.test.images[data.test.labels == 1]
    np.testing.assert_array_equal(turned, np.rot90(picture, -1))


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


def declaring(path, side, colour):
    """A PNG whose header declares side×side pixels; nobody should get as far as its data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">2I5B", side, side, 8, colour, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(2**16))) + chunk(b"IEND", b""))


SPOILT = {
    "text": (lambda path: path.write_text("cat, sitting"), "is no image, or none that can be read"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-30]), "truncated|unrecognized|broken"),
    "EPS": (lambda path: Image.new("RGB", (8, 6)).save(path, "EPS"), "is PostScript, which is not supported"),
    "absurd size": (lambda path: declaring(path, 2**30, 0), "bytes, expected at most half of this machine's"),
    "too large": (lambda path: declaring(path, 9000, 0), "at most 64 million; --max-megapixels 81 reads"),
    "bomb": (lambda path: declaring(path, 8000, 2), r"declares 192,000,000 bytes in \d+; .*bomb; --max-megapixels 65"),
    "float": (lambda path: Image.new("F", (8, 6)).save(path, "TIFF"), "got 32 bits a pixel, expected 8 or 16"),
    "a note": (
        lambda path: path.with_name("note.txt").write_text("x"),
        "note.txt: is no image, or none that can be read",
    ),
    "a PDF": (lambda path: path.with_name("note.pdf").write_bytes(b"%PDF-1.7"), "note.pdf: is a PDF, which is not"),
    "HEIC": (
        lambda path: path.with_suffix(".heic").write_bytes(b"\0\0\0\x18ftypheic"),
        "3.heic: is HEIC, which is not",
    ),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "is no plain file"),
    "a dead link": (lambda path: (path.unlink(), path.symlink_to("nowhere")), "there is no such file"),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_image_is_named_with_the_reason(tmp_path, kind):
    write_folder(tmp_path)
    spoil, reason = SPOILT[kind]
    spoil(tmp_path / "dog" / "3.png")
    with pytest.raises(ValueError, match=reason) as caught:
        read("folder", str(tmp_path), image_size=(4, 4))
    assert str(caught.value).startswith(str(tmp_path / "dog"))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; --skip-unreadable leaves out what cannot be read")


def test_many_spoilt_images_are_counted(tmp_path):
    made = write_folder(tmp_path)
    for path in list(made)[:9]:
        path.write_text("no image")
    with pytest.raises(ValueError, match=r"cat/4.png: is no image.*; and 4 more; --skip-unreadable"):
        read("folder", str(tmp_path))


def test_litter_and_hidden_files_are_passed_over(tmp_path):
    write_folder(tmp_path)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / "cat" / name).write_text("litter")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "labels.csv").write_text("beside the classes")
    assert len(read("folder", str(tmp_path)).train) == 12


LAYOUTS = {
    "nothing there": (lambda root: shutil.rmtree(root), "there is no such folder"),
    "one class": (lambda root: [shutil.rmtree(root / name) for name in ("dog", "owl")], "got 1 folders, expected one"),
    "empty class": (lambda root: (root / "yak").mkdir(), "yak: got no images, expected at least one"),
    "lonely image": (lambda root: [(root / "owl" / f"{n}.png").unlink() for n in range(4)], "owl: got one image"),
    "train beside classes": (lambda root: (root / "train").mkdir(), "got train beside cat, dog, owl; expected train"),
    "val alone": (lambda root: (root / "val").mkdir(), "got val alone, expected train beside, or classes"),
    "two of a kind": (
        lambda root: [(root / name).mkdir() for name in ("train", "val", "Valid")],
        "got Valid and val, expected one folder of val images",
    ),
    "nothing to test with": (
        lambda root: (write_folder(root / "train"), (root / "test").mkdir()),
        "test: got no images, expected some of the classes",
    ),
    "a name with a bell": (
        lambda root: (root / "c\a").mkdir(),
        r"c\\x07: expected the name of a class to be without control",
    ),
    "other classes": (
        lambda root: (write_folder(root / "train"), write_folder(root / "test", classes=("cat", "dog", "yak"))),
        "class yak is in test alone, expected those of the training images",
    ),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_folder_laid_out_wrongly_is_refused(tmp_path, kind):
    root = tmp_path / "root"
    write_folder(root)
    change, reason = LAYOUTS[kind]
    change(root)
    with pytest.raises(ValueError, match=reason) as caught:
        read("folder", str(root))
    assert str(caught.value).startswith(str(root))


def test_a_complaint_stays_one_line_whatever_a_file_is_called(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "cat" / "a\nb\x1b[31m.png").write_text("no image")
    with pytest.raises(ValueError, match=r"a\\nb\\x1b\[31m.png: is no image"):
        read("folder", str(tmp_path))


def test_the_name_of_the_set_is_fit_for_a_title(tmp_path):
    write_folder(tmp_path / "my [bold]$pets$")
    assert read("folder", str(tmp_path / "my [bold]$pets$")).name == "my _bold__pets_"


def test_more_than_the_memory_is_refused_before_it_is_taken(tmp_path):
    write_folder(tmp_path)
    with pytest.raises(ValueError, match="expected at most half of this machine's memory"):
        read("folder", str(tmp_path), image_size=(200_000, 200_000))
