import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.data.mixing import cutmix, make_mixing, mixup

pytestmark = pytest.mark.usefixtures("little_compilation")

RNG = np.random.default_rng(0)
# Every image is of one number of its own.
IMAGES = jnp.broadcast_to(jnp.arange(64, dtype=jnp.float32)[:, None, None, None], (64, 10, 14, 2))
LABELS = jnp.asarray(RNG.integers(0, 5, 64), jnp.int32)
KEY = jax.random.key(0)


def test_mixup_adds_each_image_and_the_next_by_its_share_and_labels_likewise():
    mixed, wanted = jax.jit(lambda key: mixup(key, IMAGES, LABELS, alpha=0.8))(KEY)
    share, images = np.asarray(wanted.share)[:, None, None, None], np.asarray(IMAGES)
    np.testing.assert_allclose(mixed, share * images + (1 - share) * np.roll(images, -1, axis=0), rtol=1e-5)
    np.testing.assert_array_equal(wanted.labels, LABELS)
    np.testing.assert_array_equal(wanted.others, np.roll(np.asarray(LABELS), -1))
    assert 0 <= share.min() < 0.1
    assert 0.9 < share.max() <= 1
    assert len(np.unique(share)) > 50


def test_cutmix_puts_one_rectangle_of_the_next_image_into_each_and_counts_its_pixels():
    found, wanted = jax.jit(lambda key: cutmix(key, IMAGES, LABELS, alpha=1.0))(KEY)
    mixed = np.asarray(found)
    sides = []
    for n, (image, share) in enumerate(zip(mixed, np.asarray(wanted.share), strict=True)):
        other = image[..., 0] != n
        np.testing.assert_array_equal(image[..., 0], np.where(other, (n + 1) % 64, n))
        np.testing.assert_array_equal(image[..., 0], image[..., 1])
        assert share == pytest.approx(1 - other.mean(), abs=1e-6)
        rows, columns = np.flatnonzero(other.any(axis=1)), np.flatnonzero(other.any(axis=0))
        np.testing.assert_array_equal(other, np.outer(other.any(axis=1), other.any(axis=0)))
        assert len(rows) == 0 or len(rows) == rows[-1] - rows[0] + 1
        assert len(columns) == 0 or len(columns) == columns[-1] - columns[0] + 1
        sides.append((len(rows), len(columns)))
    assert len(set(sides)) > 20


def test_with_both_each_image_is_mixed_in_one_way():
    assert make_mixing(0.0, 0.0) is None
    both = make_mixing(0.4, 1.0)
    assert both is not None
    mixed, wanted = jax.jit(both)(KEY, IMAGES, LABELS)
    by_mixup = [len(np.unique(image)) == 1 for image in np.asarray(mixed)]
    assert 16 < sum(by_mixup) < 48
    shown = np.arange(64) * np.asarray(wanted.share) + np.roll(np.arange(64), -1) * (1 - np.asarray(wanted.share))
    np.testing.assert_allclose(np.asarray(mixed)[..., 0].mean(axis=(1, 2)), shown, rtol=1e-4, atol=1e-4)
