import dataclasses
import re
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from purecnn.data import suspicions
from purecnn.data.dataset import Dataset, Split
from purecnn.data.holdout import warn_of_absent_classes
from purecnn.data.stream import open_stream
from purecnn.data.suspicions import check_pixels, columns_hint, warn_of_like_names, warn_of_order, warn_of_repeats
from tests.data.making import pictures

IMAGES, LABELS = pictures(12, (4, 5, 1), 3)
TRAIN = Split(IMAGES[:8], LABELS[:8].astype(np.int32), tuple(f"{n}.png" for n in range(8)))
TEST = Split(IMAGES[8:], LABELS[8:].astype(np.int32), tuple(f"t{n}.png" for n in range(4)))
DATA = Dataset("pets", TRAIN, TEST, ("a", "b", "c"))


def said(function, *args):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        function(*args)
    return [str(each.message) for each in found]


def test_classes_that_differ_in_upper_and_lower_case_alone_are_a_warning():
    alike = dataclasses.replace(DATA, classes=("Cat", "cat", "owl"))
    assert said(warn_of_like_names, alike) == ["pets: 'Cat' and 'cat' are two classes, expected one name for each"]
    assert said(warn_of_like_names, DATA) == []


@pytest.mark.parametrize(
    "names", [("cat", "cat "), ("big cat", "big_cat"), ("Big-Cat", "big  cat"), ("1", "1.0"), ("7", "007")]
)
def test_classes_whose_names_set_words_apart_otherwise_are_a_warning(names):
    found = said(warn_of_like_names, dataclasses.replace(DATA, classes=(*names, "owl")))
    assert found == [f"pets: {names[0]!r} and {names[1]!r} are two classes, expected one name for each"]


def test_numbers_and_signs_are_names():
    classes = ("1", "-1", "1-1", "11", "1 1", "c", "c++", "a-b", "ab")
    assert said(warn_of_like_names, dataclasses.replace(DATA, classes=classes)) == []


def test_a_class_that_is_not_trained_is_named_once():
    given = Dataset(
        "arrays", Split(IMAGES[:8], np.arange(1, 9) % 4 + 1), Split(IMAGES[8:], np.array([1, 2, 3, 3])), tuple("01234")
    )
    assert said(warn_of_absent_classes, given) == [
        "arrays: class has no image to train on: 0",
        "arrays: class has no image to test with: 4",
    ]


def test_images_that_differ_are_no_repeats():
    assert said(warn_of_repeats, DATA) == []


def test_images_that_are_trained_on_and_tested_with_are_counted():
    known = dataclasses.replace(TEST, images=np.concatenate([TEST.images[:2], TRAIN.images[2:4]]))
    labels = np.concatenate([TEST.labels[:2], TRAIN.labels[2:4]])
    leak = dataclasses.replace(DATA, test=dataclasses.replace(known, labels=labels))
    assert said(warn_of_repeats, leak) == [
        "pets: 2 of 4 images to test with are also among those to train on, such as t2.png: the accuracy says "
        "little of new images"
    ]
    whole = dataclasses.replace(DATA, val=TRAIN, test=None)
    assert said(warn_of_repeats, whole)[0].startswith("pets: 8 of 8 images to validate are also among those to train")
    nameless = dataclasses.replace(whole, val=dataclasses.replace(TRAIN, names=()))
    assert "such as val 0:" in said(warn_of_repeats, nameless)[0]


def test_repeats_within_the_training_images_or_of_val_in_test_are_none_and_two_classes_of_one_image_are():
    twice = Split(np.concatenate([IMAGES[:3], IMAGES[:3]]), np.array([0, 1, 2, 0, 1, 1], np.int32))
    assert said(warn_of_repeats, Dataset("pets", twice, TEST, DATA.classes, TEST)) == [
        "pets: 1 pair of equal images has two classes, such as train 2 and train 5"
    ]


def test_what_is_decoded_to_disk_is_compared_where_it_is_small(tmp_path, monkeypatch):
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "w+", shape=TRAIN.images.shape)
    mapped[:] = TRAIN.images
    elsewhere = dataclasses.replace(TRAIN, images=mapped)
    data = dataclasses.replace(DATA, train=elsewhere, test=TRAIN)
    assert len(said(warn_of_repeats, data)) == 1
    monkeypatch.setattr(suspicions, "DEVICE_LIMIT", mapped.nbytes - 1)
    assert said(warn_of_repeats, data) == []


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((2, 8, 8, 3), 255, np.float32), "data: got floating numbers from 255 to 255, expected [0, 1], norm"),
        (np.linspace(0, 16, 128, dtype=np.float32).reshape(2, 8, 8, 1), "data: got floating numbers from 0 to 16, exp"),
        (
            np.zeros((2, 3, 8, 9), np.uint8),
            "data: got shape (2, 3, 8, 9), taken as (N, H, W, C); of N C H W: images.tr",
        ),
        (np.zeros((2, 1, 8, 8), np.uint8), "data: got shape (2, 1, 8, 8), taken as"),
        (
            np.linspace(0, 1 / 255, 128, dtype=np.float32).reshape(2, 8, 8, 1),
            "data: got floating numbers from 0 to 0.00392157, expected up to 1: are they divided by 255 twice?",
        ),
    ],
)
def test_what_is_hardly_meant_is_a_warning(images, message):
    with pytest.warns(UserWarning, match=re.escape(message)):
        check_pixels(images, "data")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad):
    images = np.zeros((2, 8, 8, 3), np.float32)
    images[1, 2, 3, 0] = bad
    with pytest.raises(ValueError, match=r"data: images: got values from .*, expected finite ones"):
        check_pixels(images, "data")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.linspace(-1e-3, 1e-3, 128, dtype=np.float32).reshape(2, 8, 8, 1),
        np.full((2, 8, 8, 3), 255, np.uint8),
        np.linspace(0, 1, 128, dtype=np.float32).reshape(2, 8, 8, 1),
        np.linspace(-3, 40, 128, dtype=np.float32).reshape(2, 8, 8, 1),  # by its mean and deviation
        np.zeros((2, 3, 8, 3), np.uint8),
        np.zeros((2, 1, 100, 12), np.uint8),  # signals of 12 channels, for conv1d
    ],
)
def test_what_may_well_be_meant_is_none(images):
    assert said(check_pixels, images, "data") == []


def test_a_first_batch_of_one_class_is_a_warning():
    assert said(warn_of_order, np.full(32, 2)) == [
        "data: all 32 images of the first batch are of class 2, expected them shuffled"
    ]
    assert said(warn_of_order, np.full(4, 2)) == []
    assert said(warn_of_order, np.append(np.full(31, 2), 1)) == []
    in_order = open_stream([(IMAGES[[0] * 16], np.zeros(16, np.int32)), (IMAGES[[1] * 16], np.ones(16, np.int32))], 16)
    taken = []
    assert len(said(lambda: taken.extend(islice(in_order.batches(), 4)))) == 2  # in every epoch
    assert [labels[0] for _, labels in taken] == [0, 1, 0, 1]


def test_columns_of_files_are_told_the_folder_and_its_table():
    for files in ("a.PNG", ["cat/a.jpeg", "b"], np.array(["a.tif"]), Path("a.png")):
        assert columns_hint({"n": np.array(3), "of": files}).endswith("and a table of its files as labels='FILE.csv'")
    assert columns_hint({"n": np.array(3), "of": ["cat"], "none": [], "not": None}) == ""
