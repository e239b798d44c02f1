import subprocess
import sys

import jax
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from purecnn.data import digits
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


def test_the_images_and_their_division_are_scikit_learns():
    data, bunch = read_digits(), load_digits()
    parts = train_test_split(bunch.images, bunch.target, test_size=0.2, random_state=0, stratify=bunch.target)
    for got, expected in zip((data.train, data.test), ((parts[0], parts[2]), (parts[1], parts[3])), strict=True):
        np.testing.assert_array_equal(got.images[..., 0] * 16, expected[0])
        np.testing.assert_array_equal(got.labels, expected[1])
    assert data.classes == tuple(map(str, bunch.target_names))


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


def test_shares_that_cannot_be_equal_are_drawn_as_scikit_learn_draws_them(monkeypatch):
    """Counts with equal remainders, of which the digits have none."""
    for counts in ([7, 7, 7], [5, 9, 5, 5], [10, 3, 8, 8, 2]):
        labels = np.repeat(np.arange(len(counts)), counts)
        for seed in range(5):
            monkeypatch.setattr(digits, "SPLIT_SEED", seed)
            expected = train_test_split(np.arange(len(labels)), test_size=0.2, random_state=seed, stratify=labels)
            for got, wanted in zip(digits._divided(labels), expected, strict=True):
                np.testing.assert_array_equal(got, wanted)


def test_reading_them_does_not_wait_for_scikit_learn():
    code = "import sys\nfrom purecnn.data.digits import read_digits\nread_digits()\nassert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
