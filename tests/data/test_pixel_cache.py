import os
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from purecnn.data import files, pixel_cache, readers
from purecnn.data.pixel_cache import decoded_once
from tests.data.making import write_folder


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("PURECNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pixel_cache, "BLOCK", 4 * 5 * 5 * 3)
    write_folder(tmp_path / "pets", each=10)
    return tmp_path / "pets"


def read(root, streaming):
    return readers.read("folder", str(root), image_size=5, streaming=streaming)


def cached(root):
    return sorted((root.parent / "cache" / "pixels").iterdir())


def test_cached_pixels_are_those_of_the_files_and_are_decoded_once(root, monkeypatch):
    whole, first = read(root, "never"), read(root, "cached")
    assert first.notes[-1].startswith("images are decoded once: 2 kB of pixels in ")
    for name, split in whole.splits().items():
        found = first.split(name).images
        assert isinstance(found, np.memmap)
        np.testing.assert_array_equal(found, split.images)
        assert first.split(name).checksum() == split.checksum()
    (path,) = cached(root)
    before = path.stat()
    monkeypatch.setattr(pixel_cache, "_write", None)  # a second time nothing is written, wherever the folder is now
    moved = root.rename(root.with_name("moved"))
    np.testing.assert_array_equal(read(moved, "cached").train.images, whole.train.images)
    assert path.stat() == before


def test_another_image_or_size_is_decoded_anew(root):
    read(root, "cached")
    Image.new("RGB", (9, 9), (200, 0, 0)).save(root / "cat" / "1.png")
    np.testing.assert_array_equal(read(root, "cached").train.images, read(root, "never").train.images)
    readers.read("folder", str(root), image_size=6, streaming="cached")
    assert len(cached(root)) == 3


def _part(whole, left):
    """The first bytes alone, or, where `left` is negative, as many zeros at the end, as a power cut leaves them."""
    return whole[:left] if left > 0 else whole[:left] + bytes(-left)


@pytest.mark.parametrize("left", [b"", b"no array", 200, -200])
def test_a_damaged_file_is_decoded_anew(root, left):
    before = np.array(read(root, "cached").train.images)
    (path,) = cached(root)
    whole = path.read_bytes()
    path.write_bytes(_part(whole, left) if isinstance(left, int) else left)
    with pytest.warns(UserWarning, match=rf"{path}: is damaged or of another version, and the images are decoded"):
        np.testing.assert_array_equal(read(root, "cached").train.images, before)
    assert path.read_bytes() == whole


def test_a_full_disk_names_the_file_that_could_not_be_written(root, monkeypatch):
    def full(path, images):
        path.write_bytes(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pixel_cache, "_write", full)
    with pytest.raises(
        OSError, match=r"No space left on device; PURECNN_CACHE names another folder: '.*/cache/pixels/\w+\.npy'$"
    ):
        read(root, "cached")
    assert cached(root) == []


def test_a_disk_without_room_is_named_before_anything_is_decoded(root, monkeypatch):
    monkeypatch.setattr(pixel_cache.shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    monkeypatch.setattr(pixel_cache, "_write", None)
    with pytest.raises(
        OSError, match="got 1 kB of free disk, expected 2 kB for the pixels; PURECNN_CACHE names another"
    ):
        read(root, "cached")


def test_images_in_two_splits_are_warned_of(root):
    image = (root / "cat" / "0.png").read_bytes()
    for n in range(10):
        (root / "cat" / f"{n}.png").write_bytes(image)
    with pytest.warns(UserWarning, match="images to") as said:
        read(root, "cached")
    expected = ("1 of 3 images to validate are also among", "2 of 6 images to test with are also among")
    assert all(any(words in str(each.message) for each in said) for words in expected)


def test_what_is_not_finished_is_not_left(root, monkeypatch):
    monkeypatch.setattr(files, "SAMPLE", 1)  # of a split, read before anything is decoded
    images = read(root, "always").train.images
    path = images.path(int(images.numbers[1]))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match=path.relative_to(root).as_posix()):
        read(root, "cached")
    assert cached(root) == []
    data = readers.read("folder", str(root), image_size=5, streaming="always", val_share=0.0)
    (root.parent / "cache" / "pixels").rmdir()
    (root.parent / "cache" / "pixels").write_text("a file where the folder would be")
    with pytest.raises(OSError, match="pixels"):
        decoded_once(data.test.images, root.parent / "cache" / "pixels")
    assert os.listdir(root.parent / "cache") == ["pixels"]
