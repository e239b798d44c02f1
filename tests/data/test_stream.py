import sys
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from purecnn.data.stream import class_names, open_stream, read_all
from tests.data.making import pictures

IMAGES, LABELS = pictures(10, (4, 3, 2), 3)
BATCHES = [(IMAGES[:4], LABELS[:4]), (IMAGES[4:8], LABELS[4:8]), (IMAGES[8:], LABELS[8:])]


class Loader:
    """Like a DataLoader: it has a length and may be iterated again."""

    def __init__(self, items):
        self.items, self.begun = items, 0

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        self.begun += 1
        return iter(self.items)


def taken(stream, count, skip=0):
    return list(islice(stream.batches(skip), count))


def test_epoch_follows_epoch_and_the_smaller_batch_is_filled_up_with_its_own():
    stream = open_stream(Loader(BATCHES), batch_size=99)
    assert (stream.steps, stream.batch_size, len(stream)) == (3, 4, 12)
    assert (stream.images.shape, stream.images.dtype) == ((12, 4, 3, 2), np.uint8)
    found = taken(stream, 4)
    np.testing.assert_array_equal(found[1][0], IMAGES[4:8])
    np.testing.assert_array_equal(found[2][1], LABELS[[8, 9, 8, 9]])
    np.testing.assert_array_equal(found[3][0], found[0][0])
    assert found[0][1].dtype == np.int32


def test_what_was_seen_of_an_epoch_is_skipped_in_this_epoch_alone():
    found = taken(open_stream(Loader(BATCHES), batch_size=4), 3, skip=2)
    np.testing.assert_array_equal(found[0][1], LABELS[[8, 9, 8, 9]])
    np.testing.assert_array_equal(found[1][0], IMAGES[:4])


class Longer(Loader):
    def __len__(self):
        return 5


def test_fewer_batches_than_the_length_says_are_a_warning_and_begin_anew():
    with pytest.warns(UserWarning, match="data: got 3 batches, expected 5, as its length says; it is iterated again"):
        found = taken(open_stream(Longer(BATCHES), batch_size=4), 4, skip=2)
    np.testing.assert_array_equal(found[1][0], IMAGES[:4])
    taken(open_stream(Longer(BATCHES), batch_size=4, steps_per_epoch=5), 5)  # as it was asked for
    taken(open_stream(Loader([*zip(IMAGES, LABELS, strict=True)]), batch_size=4), 5)


class OfHuggingFace(Loader):
    def class_encode_column(self, name):
        raise NotImplementedError


def test_labels_of_text_are_told_what_encodes_them():
    rows = [{"image": image, "label": "cat"} for image in IMAGES]
    with pytest.raises(ValueError, match=r"of text, data\.class_encode_column\('label'\) makes them, and the names$"):
        open_stream(OfHuggingFace(rows), batch_size=4)


def test_an_iterator_needs_a_number_of_steps_and_loses_no_batch():
    with pytest.raises(ValueError, match=r"steps_per_epoch: got none, .*; list\(data\) says it, of a zip"):
        open_stream(iter(BATCHES), batch_size=4)
    stream = open_stream(iter(BATCHES), batch_size=4, steps_per_epoch=2)
    assert (stream.steps, len(stream)) == (2, 8)
    for (images, _), expected in zip(taken(stream, 2), BATCHES, strict=False):
        np.testing.assert_array_equal(images, expected[0])
    with pytest.raises(ValueError, match="data: got an iterator that has ended"):
        taken(open_stream(iter(BATCHES), batch_size=4, steps_per_epoch=2), 4)


class Unending(Loader):
    """Like tf.data: its elements are tensors, and `len` raises where it does not know its length."""

    def __len__(self):
        raise TypeError("The dataset is infinite.")

    def __iter__(self):
        return iter([tuple(map(EagerTensor, pair)) for pair in self.items])


class EagerTensor:
    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, SimpleNamespace(name=str(array.dtype))

    def __len__(self):
        return len(self.array)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)


def test_a_length_that_is_not_known_is_none():
    with pytest.raises(ValueError, match="steps_per_epoch: got none, expected the number of batches in an epoch"):
        open_stream(Unending(BATCHES), batch_size=4)
    stream = open_stream(Unending(BATCHES), batch_size=4, steps_per_epoch=5)
    assert (stream.steps, stream.batch_size, stream.images.shape) == (5, 4, (20, 4, 3, 2))
    np.testing.assert_array_equal([labels for _, labels in taken(stream, 4)][3], LABELS[:4])
    np.testing.assert_array_equal(read_all(Unending(BATCHES)).images, IMAGES)


def test_single_samples_are_put_together():
    samples = [{"image": image, "label": int(label)} for image, label in zip(IMAGES, LABELS, strict=True)]
    stream = open_stream(Loader(samples), batch_size=4)
    assert (stream.steps, stream.batch_size) == (3, 4)
    np.testing.assert_array_equal(taken(stream, 2)[1][0], IMAGES[4:8])
    np.testing.assert_array_equal(read_all(samples).images, IMAGES)


@pytest.mark.parametrize(
    "source",
    [(IMAGES, LABELS), {"images": IMAGES, "labels": LABELS}, {"pixel_values": IMAGES, "y": LABELS[:, None]}, BATCHES],
    ids=["pair", "dict", "other names", "batches"],
)
def test_a_whole_set_is_read(source):
    split = read_all(source)
    np.testing.assert_array_equal(split.images, IMAGES)
    np.testing.assert_array_equal(split.labels, LABELS)
    assert split.labels.dtype == np.int32


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"picture": IMAGES, "label": LABELS}, "data: got picture, label, expected one of image, images, "),
        ((IMAGES, LABELS, LABELS), "data: got a tuple of 3, expected .*; leave the rest out$"),
        (IMAGES, "data: got ndarray, expected .images, labels. or a dict of both"),
        ((IMAGES, LABELS[:3]), r"data: labels: got uint8\(3,\), expected integers, one for each of 10"),
        ((IMAGES, LABELS / 2), r"data: labels: got float64\(10,\), expected integers"),
        ((IMAGES.astype(np.int64), LABELS), "got dtype int64, expected uint8, or floating numbers; images.astype"),
        ((IMAGES.astype(np.int64) - 200, LABELS), r"got dtype int64, .*; \(images - images.min\(\)\) / np"),
        (
            ([*IMAGES[:9], IMAGES[9, :3]], LABELS),
            r"got shapes \(3, 3, 2\) and \(4, 3, 2\), expected one for all",
        ),
        ((IMAGES[:, 0, 0], LABELS), r"data: images: got shape \(10, 2\), expected \(N, H, W, C\); images.reshape"),
        ((IMAGES[:, 0, 0, 0], LABELS), r"data: images: got shape \(10,\), expected \(N, H, W, C\)$"),
    ],
)
def test_what_is_no_batch_is_refused(item, message):
    with pytest.raises(ValueError, match=message):
        open_stream([item], batch_size=4)


def test_a_batch_of_another_shape_is_refused_and_nothing_at_all():
    by_chance = open_stream([BATCHES[0], ((IMAGES[4:8] / 255).astype(np.float32), LABELS[4:8])], batch_size=4)
    with pytest.raises(
        ValueError, match="got a batch of float32, expected uint8 as the first: what prepares images is"
    ):
        taken(by_chance, 2)
    odd = open_stream([BATCHES[0], (IMAGES[:4, :2], LABELS[:4])], batch_size=4)
    with pytest.raises(ValueError, match=r"got a batch of \(4, 2, 3, 2\), expected \(4, 4, 3, 2\) as the first"):
        taken(odd, 2)
    with pytest.raises(ValueError, match="data: got nothing to iterate over"):
        open_stream([], batch_size=4)


def test_names_of_classes_are_those_of_a_hugging_face_set_or_of_the_set_behind_a_loader():
    label = SimpleNamespace(names=["cat", "dog"])
    assert class_names(SimpleNamespace(features={"image": None, "label": label})) == ("cat", "dog")
    assert class_names(SimpleNamespace(features={"image": None, "label": SimpleNamespace(dtype="int64")})) == ()
    assert class_names(SimpleNamespace(features={"image": label})) == ()
    assert class_names(SimpleNamespace(features=None)) == ()
    assert class_names(SimpleNamespace(dataset=SimpleNamespace(classes=["cat", "dog"]))) == ("cat", "dog")
    part = SimpleNamespace(dataset=SimpleNamespace(classes=["cat", "dog"]), indices=[0])  # as of random_split
    assert class_names(SimpleNamespace(dataset=part)) == ("cat", "dog")
    assert class_names(SimpleNamespace(dataset=SimpleNamespace(classes=[0, 1]))) == ()
    assert class_names(BATCHES) == ()


def test_what_has_no_end_has_no_length():
    class Endless(Loader):
        def __len__(self):
            return sys.maxsize

    with pytest.raises(ValueError, match="steps_per_epoch: got none, expected the number of batches in an epoch"):
        open_stream(Endless(BATCHES), batch_size=4)
    assert open_stream(Endless(BATCHES), batch_size=4, steps_per_epoch=2).steps == 2


def test_lists_are_arrays():
    found = read_all((list(IMAGES), LABELS.tolist()))
    np.testing.assert_array_equal(found.images, IMAGES)
    np.testing.assert_array_equal(found.labels, LABELS)
