import jax
import numpy as np
from sklearn.datasets import load_digits

from purecnn.data.digits import read_digits


def test_shapes_dtypes_and_range():
    data = read_digits()
    assert data.train.images.shape == (1437, 8, 8, 1)
    assert data.test.images.shape == (360, 8, 8, 1)
    for split in (data.train, data.test):
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int32
        assert split.images.min() == 0
        assert split.images.max() == 1
    assert data.classes == tuple("0123456789")


def test_train_and_test_are_the_whole_set_and_share_no_sample():
    data, bunch = read_digits(), load_digits()

    def rows(images, labels):
        return sorted((*image.ravel().tolist(), int(label)) for image, label in zip(images, labels, strict=True))

    both = rows(data.train.images, data.train.labels) + rows(data.test.images, data.test.labels)
    assert sorted(both) == rows(bunch.images / 16, bunch.target)


def test_every_digit_has_its_share_of_the_test_set():
    data = read_digits()
    test, train = np.bincount(data.test.labels), np.bincount(data.train.labels)
    np.testing.assert_allclose(test / (test + train), 0.2, atol=0.005)


def test_the_split_is_the_same_every_time_whatever_the_global_seeds():
    first = read_digits()
    np.random.seed(7)  # noqa: NPY002 - the global state is what is tested
    jax.random.key(7)
    second = read_digits()
    np.testing.assert_array_equal(first.test.images, second.test.images)
    np.testing.assert_array_equal(first.train.labels, second.train.labels)
