import gzip
import struct
from functools import partial

import numpy as np
import pytest

from purecnn.data import readers
from tests.data.making import idx, write_mnist

read = partial(readers.read, val_share=0.0)  # nothing held out to validate: tests/data/test_holdout.py


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_what_was_written_is_read(tmp_path, packed, name):
    train, test = write_mnist(tmp_path, packed=packed)
    data = read(name, str(tmp_path))
    assert data.name == name
    assert data.classes[:2] == (("0", "1") if name == "mnist" else ("T-shirt/top", "trouser"))
    assert len(data.classes) == 10
    for split, (images, labels) in ((data.train, train), (data.test, test)):
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)
        np.testing.assert_array_equal(split.images, images[..., None])
        np.testing.assert_array_equal(split.labels, labels)


def test_a_packed_file_without_its_suffix_is_known_by_its_content(tmp_path):
    train, _ = write_mnist(tmp_path)
    for path in tmp_path.iterdir():
        path.rename(path.with_suffix(""))
    np.testing.assert_array_equal(read("mnist", str(tmp_path)).train.labels, train[1])


@pytest.mark.parametrize(("name", "below"), [("mnist", "MNIST/raw"), ("fashion-mnist", "FashionMNIST/raw")])
def test_torchvisions_folder_and_names_with_a_dot_are_found(tmp_path, name, below):
    (tmp_path / below).mkdir(parents=True)
    train, _ = write_mnist(tmp_path / below, packed=False)
    np.testing.assert_array_equal(read(name, str(tmp_path)).train.labels, train[1])
    for path in (tmp_path / below).iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    np.testing.assert_array_equal(read(name, str(tmp_path / below)).train.labels, train[1])


def huge(path):
    path.write_bytes(gzip.compress(struct.pack(">4I", 0x803, 2**31, 2**15, 2**15)))


def bomb(path):
    path.write_bytes(gzip.compress(struct.pack(">4I", 0x803, 1, 2**13, 2**14) + bytes(2**27), 6))


def bytes_of(path):
    return gzip.decompress(path.read_bytes())


CORRUPT = {
    "no such file": (lambda path: path.unlink(), r"\[.gz\]: there is no such file; purecnn data fetch mnist gets it"),
    "cut gzip": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "end-of-stream marker"),
    "cut inside": (lambda path: path.write_bytes(bytes_of(path)[:-9]), r"60 × 28 × 28 = 47,040 bytes, got 47,031"),
    "one too many": (lambda path: path.write_bytes(bytes_of(path) + b"x"), r"= 47,040 bytes, got more"),
    "cut header": (lambda path: path.write_bytes(bytes_of(path)[:13]), "ends inside its header, after 13 bytes"),
    "empty": (lambda path: path.write_bytes(b""), "ends inside its header, after 0 bytes"),
    "floats": (lambda path: path.write_bytes(b"\0\0\x0d\3" + bytes_of(path)[4:]), "begins with 0x00000d03, expected"),
    "labels": (lambda path: path.write_bytes(idx(np.zeros(60, np.uint8)) + bytes(16)), "begins with 0x00000801"),
    "a page of HTML": (lambda path: path.write_text("<html>not found, try another mirror"), "begins with 0x3c68746d"),
    "no images": (lambda path: path.write_bytes(idx(np.zeros((0, 28, 28), np.uint8))), "declares 0 × 28 × 28 bytes"),
    "fewer": (lambda path: path.write_bytes(idx(np.zeros((59, 28, 28), np.uint8))), "60 labels for the 59 images"),
    "absurd size": (huge, "expected at most half of the available memory"),
    "bomb": (bomb, "decompression bomb"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "there is no such file"),
}  # fmt: skip


def test_an_archive_in_the_place_of_the_folder_is_said_to_be_one(tmp_path):
    (tmp_path / "mnist.zip").touch()
    with pytest.raises(
        ValueError, match=r"mnist\.zip: is a file, expected the folder of the four files of mnist; purecnn data fetch"
    ):
        read("mnist", str(tmp_path / "mnist.zip"))
    (tmp_path / "mnist.npz").touch()  # as Keras has it
    with pytest.raises(ValueError, match=r"of the four files of mnist; --data npz reads mnist\.npz$"):
        read("mnist", str(tmp_path / "mnist.npz"))


@pytest.mark.parametrize("kind", CORRUPT)
def test_a_corrupt_file_is_named_with_the_reason(tmp_path, kind):
    write_mnist(tmp_path)
    corrupt, reason = CORRUPT[kind]
    corrupt(tmp_path / "train-images-idx3-ubyte.gz")
    with pytest.raises(ValueError, match=reason) as caught:
        read("mnist", str(tmp_path))
    assert str(caught.value).startswith(f"{tmp_path}/train-")
    assert "\n" not in str(caught.value)


def test_a_label_without_a_class_and_two_sizes_are_refused(tmp_path):
    write_mnist(tmp_path)
    labels = np.arange(60, dtype=np.uint8) % 10
    labels[17] = 10
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte: label 17 is 10, expected 0 to 9"):
        read("mnist", str(tmp_path))
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((20, 9, 28), np.uint8)))
    with pytest.raises(ValueError, match=r"train images are \(28, 28\) pixels, test images \(9, 28\)"):
        read("mnist", str(tmp_path))
