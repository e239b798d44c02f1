"""What a program gives to validate and to test with: whose classes are numbered otherwise, and what has no end."""

import dataclasses
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from purecnn.data.dataset import Dataset, Split
from purecnn.data.given_sets import read_given, require_same_order
from purecnn.train.config import Config
from purecnn.train.fitting import as_dataset

IMAGES = np.zeros((6, 4, 4, 3), np.uint8)
TRAINED = Dataset("given", Split(IMAGES, np.arange(6, dtype=np.int32) % 3), None, ("ant", "bee", "cow"))


class Loader:
    """Batches, and behind them a set that names its classes, as a PyTorch DataLoader of an ImageFolder has it."""

    def __init__(self, labels, classes):
        self.labels, self.dataset = np.array(labels), SimpleNamespace(classes=classes)

    def __iter__(self):
        yield IMAGES[: len(self.labels)], self.labels


@pytest.mark.parametrize(
    ("classes", "labels", "expected"),
    [
        (["ant", "bee", "cow"], [0, 1, 2], [0, 1, 2]),
        (["cow", "ant", "bee"], [0, 1, 2, 0], [2, 0, 1, 2]),
        (["ant", "cow"], [0, 1, 1], [0, 2, 2]),  # a folder without a class numbers those behind it one lower
        (["ant", "bee", "cat", "cow"], [3, 0], [2, 0]),  # of a class that is not trained there is no image
        ([], [2, 1, 0], [2, 1, 0]),
    ],
)
def test_classes_are_known_by_their_names_in_whatever_order_they_are(classes, labels, expected):
    split = read_given("val", Loader(labels, classes), TRAINED)
    assert split.labels.tolist() == expected
    assert split.labels.dtype == np.int32


def test_names_that_a_program_gives_to_a_set_without_count_where_they_are_the_same():
    unnamed = dataclasses.replace(TRAINED, classes=())
    for given, expected in ((("cow", "ant", "bee"), [1, 2]), (("Ameise", "Biene", "Kuh"), [0, 1]), ((), [0, 1])):
        found = as_dataset(unnamed, Loader([0, 1], ["ant", "bee"]), None, Config(), classes=given)
        assert found.split("val").labels.tolist() == expected


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (
            ["ant", "bee", "cat", "cow"],
            [2, 3],
            "^val: class cat is not among the classes of the .* images: ant, bee, cow$",
        ),
        (["ant", "cow"], [0, 2], "^val: label 2 is not among the classes of the training images: ant, bee, cow$"),
    ],
)
def test_a_class_that_is_not_trained_is_named(classes, labels, message):
    with pytest.raises(ValueError, match=message):
        read_given("val", Loader(labels, classes), TRAINED)


def test_names_in_another_order_than_the_data_number_them_are_refused_and_other_names_are_not():
    with pytest.raises(ValueError, match="classes: got bee, ant, expected ant, bee, the order in which the data"):
        require_same_order(("bee", "ant"), ("ant", "bee"))
    require_same_order(("Ameise", "Biene"), ("ant", "bee"))
    require_same_order(("ant", "bee"), ())


class Repeated:
    def __iter__(self):
        return itertools.repeat((np.zeros((5000, 1, 1, 1), np.uint8), np.zeros(5000, int)))


class OfGrain(Repeated):
    def __len__(self):
        return 2**63 - 1


class OfTensorFlow(Repeated):
    def cardinality(self):
        return np.int64(-1)


@pytest.mark.parametrize(
    ("endless", "got"),
    [(Repeated(), "105,000 images and no end"), (OfGrain(), "a set without"), (OfTensorFlow(), "a set without")],
)
def test_what_has_no_end_is_refused_before_it_fills_the_memory(endless, got):
    with pytest.raises(ValueError, match=rf"^test: data: got {got}.*, expected one that ends; take\(n\) ends it"):
        read_given("test", endless, TRAINED)
    assert len(read_given("test", itertools.islice(Repeated(), 2), TRAINED)) == 10_000


@pytest.mark.parametrize("path", ["pets/val", "val.npz"])
def test_a_path_is_told_that_all_splits_are_read_of_one(path):
    with pytest.raises(TypeError, match=rf"val: got the path '{path}', .*; fit\(net, PATH\) reads all splits"):
        read_given("val", path, TRAINED)


def test_images_that_memory_does_not_hold_are_refused_before_they_fill_it(monkeypatch):
    monkeypatch.setattr("purecnn.data.stream.memory_limit", lambda: 1000)
    batches = itertools.repeat((IMAGES, np.arange(6)))
    message = "^test: data: got 24 images of 1,152 bytes and more to come, expected at most half of the memory, 1,000$"
    with pytest.raises(ValueError, match=message):
        read_given("test", batches, TRAINED)
