import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from purecnn.data import colours

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 12, 9, 3), np.uint8)
IMAGES = jnp.asarray(PIXELS, jnp.float32) / 255
FACTORS = np.array([0.0, 0.3, 1.0, 1.4, 1.9], np.float32)


@pytest.mark.parametrize(
    ("change", "pillow"),
    [
        (colours.brightened, ImageEnhance.Brightness),
        (colours.contrasted, ImageEnhance.Contrast),
        (colours.saturated, ImageEnhance.Color),
    ],
)
def test_each_change_is_pillows(change, pillow):
    found = 255 * np.asarray(change(IMAGES, jnp.asarray(FACTORS)))
    for image, pixels, factor in zip(found, PIXELS, FACTORS, strict=True):
        expected = np.asarray(pillow(Image.fromarray(pixels)).enhance(float(factor)), float)
        np.testing.assert_allclose(image, expected, atol=2.5)  # Pillow rounds what is grey, its mean, and the result


def test_images_of_one_channel_have_no_saturation():
    grey = IMAGES[..., :1]
    np.testing.assert_array_equal(colours.saturated(grey, jnp.asarray(FACTORS)), grey)
    np.testing.assert_allclose(colours.grey_of(IMAGES[..., :2]), np.asarray(IMAGES)[..., :2].mean(-1, keepdims=True))


def test_jitter_draws_for_every_image_within_its_strength():
    same = jnp.full((300, 2, 2, 3), 0.25)
    found = np.asarray(colours.random_jitter(jax.random.key(0), same, strength=0.2))[:, 0, 0, 0]
    assert 0.25 * 0.79 < found.min() < 0.25 * 0.82  # of an image in one grey, brightness alone is seen
    assert 0.25 * 1.18 < found.max() < 0.25 * 1.21
    assert len(np.unique(found)) > 250
    np.testing.assert_allclose(colours.random_jitter(jax.random.key(0), IMAGES, strength=0.0), IMAGES, atol=1e-6)
