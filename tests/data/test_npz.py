import io
import struct
import zipfile
from functools import partial

import numpy as np
import pytest

from purecnn.data import readers
from tests.data.making import pictures

read = partial(readers.read, val_share=0.0)  # nothing held out to validate: tests/data/test_holdout.py

IMAGES, LABELS = pictures(40, (6, 5, 3), 4)
TEST_IMAGES, TEST_LABELS = pictures(12, (6, 5, 3), 4, seed=1)
DIVIDED = {"x_train": IMAGES, "y_train": LABELS, "x_test": TEST_IMAGES, "y_test": TEST_LABELS}
WHOLE = {"images": IMAGES, "labels": LABELS}


def saved(tmp_path, save=np.savez, **arrays):
    save(tmp_path / "mine.npz", **arrays)
    return str(tmp_path / "mine.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_divided_set_is_read_as_it_was_written(tmp_path, save):
    data = read("npz", saved(tmp_path, save, **DIVIDED, classes=np.array(["a", "b", "ç", "d e"])))
    assert (data.name, data.classes) == ("mine", ("a", "b", "ç", "d e"))
    assert (data.train.images.dtype, data.train.labels.dtype) == (np.uint8, np.int32)
    np.testing.assert_array_equal(data.train.images, IMAGES)
    np.testing.assert_array_equal(data.test.images, TEST_IMAGES)
    np.testing.assert_array_equal(data.train.labels, LABELS)
    np.testing.assert_array_equal(data.test.labels, TEST_LABELS)


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels", "val_images", "val_labels"),  # of MedMNIST
        ("X_train", "Y_train", "X_test", "Y_test", "X_valid", "Y_valid"),
        ("training_image", "training_targets", "testing_image", "testing_target", "x_validation", "y_validation"),
    ],
)
def test_other_tools_names_are_taken(tmp_path, names):
    arrays = (IMAGES, LABELS[:, None], TEST_IMAGES, TEST_LABELS[:, None], TEST_IMAGES[::-1], TEST_LABELS[::-1, None])
    data = read("npz", saved(tmp_path, **dict(zip(names, arrays, strict=True))))
    for split, images, labels in zip(
        (data.train, data.test, data.val), arrays[::2], (LABELS, TEST_LABELS, TEST_LABELS[::-1]), strict=True
    ):
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.labels, labels)
    whole = read("npz", saved(tmp_path, x=IMAGES, y=LABELS))
    assert (len(whole.train), len(whole.test)) == (32, 8)


def test_a_test_set_may_be_smaller_than_the_number_of_classes(tmp_path):
    file = saved(tmp_path, **DIVIDED | {"x_test": TEST_IMAGES[3:4], "y_test": TEST_LABELS[3:4]})
    with pytest.warns(UserWarning, match="mine: classes have no image to test with: 0, 1, 2$"):
        data = read("npz", file)
    np.testing.assert_array_equal(data.test.labels, [3])


def test_a_whole_set_holds_out_a_fifth_of_every_class_always_the_same(tmp_path):
    data = read("npz", saved(tmp_path, **WHOLE))
    np.testing.assert_array_equal(np.bincount(data.train.labels), [8] * 4)
    np.testing.assert_array_equal(np.bincount(data.test.labels), [2] * 4)
    together = np.concatenate([data.train.images, data.test.images]).reshape(40, -1)
    assert sorted(map(tuple, together)) == sorted(map(tuple, IMAGES.reshape(40, -1)))
    np.testing.assert_array_equal(data.test.images, read("npz", saved(tmp_path, **WHOLE)).test.images)
    assert data.classes == tuple("0123")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floating_pixels_are_taken_and_become_float32(tmp_path, dtype):
    images = np.asfortranarray((IMAGES / 255).astype(dtype))
    data = read("npz", saved(tmp_path, images=images, labels=LABELS.astype(">i8")[:, None]))
    assert data.train.images.dtype == np.float32
    assert data.train.images.flags.c_contiguous
    chosen = np.flatnonzero([any((image == kept).all() for kept in data.test.images) for image in images.astype("f4")])
    np.testing.assert_array_equal(data.test.images, images.astype(np.float32)[chosen])
    np.testing.assert_array_equal(data.test.labels, LABELS[chosen])


def test_grey_images_may_lack_the_channel(tmp_path):
    assert read("npz", saved(tmp_path, images=IMAGES[..., 0], labels=LABELS)).train.images.shape == (32, 6, 5, 1)


def nan(where):
    images = (IMAGES / 255).astype(np.float32)
    images[7, 3, 2, 1] = where
    return images


WRONG = {
    "pickled objects": ({"images": np.array([[1], "x"], object), "labels": LABELS}, "images: got dtype object"),
    "complex": ({"images": IMAGES.astype(complex), "labels": LABELS}, "images: got dtype complex128"),
    "records": ({"images": np.zeros(3, [("a", "u1")]), "labels": LABELS}, "images: got dtype"),
    "int64 pixels": ({"images": IMAGES.astype(int), "labels": LABELS}, "got dtype int64, expected uint8"),
    "NaN": ({"images": nan(np.nan), "labels": LABELS}, "got values from nan to nan, expected"),
    "infinite": ({"images": nan(np.inf), "labels": LABELS}, "to inf, expected"),
    "0 to 255": ({"images": IMAGES.astype(np.float32), "labels": LABELS}, "or uint8; images / 255 makes them$"),
    "normalised": ({"images": IMAGES / 100 - 1, "labels": LABELS}, r"; purecnn\.train\.fit takes arrays"),
    "flat": ({"images": IMAGES.reshape(40, -1), "labels": LABELS}, r"\(40, 90\), .*; images\.reshape\(-1"),
    "no images": ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"got shape \(0, 6, 5, 3\)"),
    "fewer labels": ({"images": IMAGES, "labels": LABELS[:-1]}, r"labels: got uint8\(39,\), expected integers, one"),
    "float labels": ({"images": IMAGES, "labels": LABELS.astype(float)}, r"float64.*; labels\.astype\(int\)"),
    "no labels": ({"images": IMAGES, "labels": np.full(40, np.nan)}, "some are NaN, as of images without one$"),
    "text": ({"images": IMAGES, "labels": np.array(list("abcd"))[LABELS]}, r"np\.unique\(labels, return_inverse"),
    "bytes": ({"images": IMAGES, "labels": np.array([b"a", b"b"])[LABELS % 2]}, r"\|S1\(40,\), .* np\.unique\("),
    "bool": ({"images": IMAGES, "labels": LABELS > 1}, r"bool\(40,\), .* labels\.astype\(int\) makes them"),
    "wide pixels": ({"images": IMAGES.astype(np.int64), "labels": LABELS}, r"int64, .* images\.astype\(np\.uint8\)"),
    "bool pixels": ({"images": IMAGES > 9, "labels": LABELS}, r"bool, .* images\.astype\(np\.float32\) makes them"),
    "one-hot labels": (
        {"images": IMAGES, "labels": np.eye(4, dtype=int)[LABELS]},
        r"labels: got int64\(40, 4\), .*; of one-hot rows, labels.argmax\(1\) makes them",
    ),
    "several classes of an image": (
        {"images": IMAGES, "labels": np.ones((40, 4), int)},
        r"labels: got int64\(40, 4\), .*; an image has one class",
    ),
    "a class of every pixel": (
        {"images": IMAGES, "labels": np.zeros(IMAGES.shape[:3], int)},
        "an image has one class, and its pixels have none$",
    ),
    "values": ({"images": IMAGES, "labels": LABELS / 7}, "an image has one class, and values are not predicted$"),
    "negative label": ({"images": IMAGES, "labels": LABELS.astype(int) - 1}, "-1 to 2, .*; images without a label"),
    "below -1": ({"images": IMAGES, "labels": LABELS.astype(int) - 2}, "-2 to 1, .*; classes, labels = np"),
    "counted from 1": ({"images": IMAGES, "labels": LABELS + 1}, r"class 0 has no image .*: labels - 1 makes them$"),
    "absurd label": ({"images": IMAGES, "labels": LABELS.astype(np.uint64) * 2**62}, "got labels from 0 to 13835"),
    "class left out": ({"images": IMAGES, "labels": LABELS * 2}, "class 1 has no image .*; classes, labels = np"),
    "lonely class": ({"images": IMAGES[:5], "labels": np.array([0, 0, 1, 1, 2])}, "class 2 has one image"),
    "class only tested": (DIVIDED | {"y_train": LABELS % 3}, "class 3 has no image to train on"),
    "too few names": (WHOLE | {"classes": np.array(["a", "b"])}, "classes: 2 names for labels up to 3"),
    "too many names": (WHOLE | {"classes": np.array(list("abcde"))}, "class 4 has no image to train on$"),
    "names out of place": (WHOLE | {"classes": np.array(["a", "b", "\x1b[2J", "d"])}, "that can be printed"),
    "names in numbers": (WHOLE | {"classes": np.arange(4)}, "classes: got int64"),
    "two sizes": (DIVIDED | {"x_test": TEST_IMAGES[:, 1:]}, "expected the same"),
    "two dtypes": (DIVIDED | {"x_test": TEST_IMAGES / 255}, "expected the same"),
    "other names": ({"a": IMAGES, "b": LABELS}, "expected arrays x_train, y_train, .* or images, labels; got a, b"),
    "two names for one": (WHOLE | {"y": LABELS}, "got the arrays labels and y, expected one of them"),
    "no labels to test with": ({"x_train": IMAGES, "y_train": LABELS, "x_test": TEST_IMAGES}, "got x_test, x_train"),
    "a path outside": (WHOLE | {"../../evil": LABELS}, "'../../evil.npy' leads out of the archive"),
    "nothing": ({}, "got none"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_arrays_are_named_with_the_reason(tmp_path, kind):
    arrays, reason = WRONG[kind]
    path = saved(tmp_path, **arrays)
    with pytest.raises(ValueError, match=reason) as caught:
        read("npz", path)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


def npy(header, data=b"", version=b"\x01\x00"):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


def zipped(images, packing=zipfile.ZIP_STORED):
    labels = io.BytesIO()
    np.save(labels, LABELS)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        archive.writestr("images.npy", images)
        archive.writestr("labels.npy", labels.getvalue())
    return out.getvalue()


def header(shape, descr="'|u1'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


def bomb():
    return zipped(npy(header((1, 2**13, 2**14)), bytes(2**27)), zipfile.ZIP_DEFLATED)


def flipped():
    data = bytearray(zipped(npy(header(IMAGES.shape), IMAGES.tobytes())))
    data[data.find(IMAGES.tobytes()[:50]) + 40] ^= 4
    return bytes(data)


CORRUPT = {
    "no zip": (lambda: b"PK not really", "got no zip file, expected"),
    "one array": (lambda: npy(header((3,)), b"abc"), "got one array of NumPy, expected arrays by their names"),
    "empty": (lambda: b"", "got no zip file"),
    "cut": (lambda: zipped(npy(header(IMAGES.shape), IMAGES.tobytes()))[:-30], "got a zip file whose end is missing"),
    "flipped": (flipped, "Bad CRC-32"),
    "absurd shape": (lambda: zipped(npy(header((2**40, 2**20, 1)))), r"declares uint8\(1099511627776, 1048576, 1\)"),
    "negative shape": (lambda: zipped(npy(header((-1, -8, 1)), b"12345678")), r"declares uint8\(-1, -8, 1\)"),
    "short": (lambda: zipped(npy(header((2, 2, 2)), b"1234567")), r"declares uint8\(2, 2, 2\), 8 bytes, in 135"),
    "code for a header": (lambda: zipped(npy("__import__('os').abort()")), "images: "),
    "nested header": (lambda: zipped(npy("[" * 100)), "images: "),
    "version 9": (lambda: zipped(npy(header((1,)), b"x", b"\x09\x00")), r"got version \(9, 0\) of the .npy format"),
    "no magic": (lambda: zipped(b"text"), "images: "),
    "nothing in it": (lambda: zipped(b""), "images: "),
    "bomb": (bomb, "images: declares 134,217,728 bytes in .* decompression bomb"),
}


@pytest.mark.parametrize("kind", CORRUPT)
def test_a_corrupt_file_is_named_with_the_reason(tmp_path, kind):
    make, reason = CORRUPT[kind]
    path = tmp_path / "mine.npz"
    path.write_bytes(make())
    with pytest.raises(ValueError, match=reason) as caught:
        read("npz", str(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_named_with_the_reason(tmp_path, forbidden):
    path = tmp_path / "mine.npz"
    path.write_bytes(b"not a zip file")
    forbidden(path)
    with pytest.raises(ValueError, match=r"mine\.npz: Permission denied"):
        read("npz", str(path))


@pytest.mark.parametrize(
    ("path", "what"), [("missing.npz", "there is no such file"), (".", "is a folder, .*; --data folder reads images")]
)
def test_a_path_that_is_no_file(tmp_path, path, what):
    with pytest.raises(ValueError, match=what):
        read("npz", str(tmp_path / path))
