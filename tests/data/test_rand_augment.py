import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from purecnn.data.rand_augment import ANGLE, FACTOR, KINDS, SHEAR, SHIFT, changed, rand_augment

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(20, 230, (12, 12, 3), np.uint8)


def change(name, amount):
    """By one kind, in 0 to 255."""
    images = jnp.asarray(PIXELS, jnp.float32)[None] / 255
    found = jax.jit(changed)(images, jnp.asarray([KINDS.index(name)]), jnp.asarray([amount], jnp.float32))
    return 255 * np.asarray(found[0])


# Pillow's, which the paper's code calls.
PILLOWS = {
    "identity": lambda image, amount: image,
    "brightness": lambda image, amount: ImageEnhance.Brightness(image).enhance(1 + FACTOR * amount),
    "contrast": lambda image, amount: ImageEnhance.Contrast(image).enhance(1 + FACTOR * amount),
    "saturation": lambda image, amount: ImageEnhance.Color(image).enhance(1 + FACTOR * amount),
    "posterize": lambda image, amount: ImageOps.posterize(image, 8 - round(4 * abs(amount))),
    "solarize": lambda image, amount: ImageOps.solarize(image, 255 * (1 - abs(amount))),
    "autocontrast": lambda image, amount: ImageOps.autocontrast(image),
}


@pytest.mark.parametrize("amount", [-0.7, 0.3, 1.0])
@pytest.mark.parametrize("name", PILLOWS)
def test_colours_are_changed_as_pillow_does(name, amount):
    expected = np.asarray(PILLOWS[name](Image.fromarray(PIXELS), amount), float)
    tolerance = 2.5 if name in ("brightness", "contrast", "saturation", "autocontrast") else 1e-3  # Pillow rounds
    np.testing.assert_allclose(change(name, amount), expected, atol=tolerance)


def test_moves_go_as_far_as_they_say():
    def shows(name, amount, expected):
        np.testing.assert_allclose(change(name, amount), expected, atol=0.01)

    image = PIXELS.astype(float)
    shows("rotate", (np.pi / 2) / ANGLE, np.rot90(image))
    shows("rotate", -(np.pi / 2) / ANGLE, np.rot90(image, -1))
    shift = 3 / (12 * SHIFT)
    shows("shift y", shift, np.pad(image[3:], ((0, 3), (0, 0), (0, 0))))
    shows("shift x", -shift, np.pad(image[:, :-3], ((0, 0), (3, 0), (0, 0))))
    # A shear of 2: two pixels for every pixel from the middle, which lies between two.
    along_rows, along_columns = np.zeros_like(image), np.zeros_like(image)
    for row in range(12):
        for column in range(12):
            if 0 <= (source := column + 2 * row - 11) < 12:
                along_columns[row, column] = image[row, source]
            if 0 <= (source := row + 2 * column - 11) < 12:
                along_rows[row, column] = image[source, column]
    shows("shear x", 2 / SHEAR, along_columns)
    shows("shear y", 2 / SHEAR, along_rows)


def test_every_kind_is_drawn_both_ways_and_the_key_decides():
    images = jnp.broadcast_to(jnp.asarray(PIXELS, jnp.float32)[None] / 255, (400, 12, 12, 3))
    run = jax.jit(lambda key: rand_augment(key, images, count=1))
    found = np.asarray(run(jax.random.key(0)))
    # Identity, solarize, posterize, autocontrast: one outcome each; the other eight: two.
    assert len(np.unique(found.reshape(400, -1), axis=0)) == 4 + 2 * 8
    np.testing.assert_array_equal(found, run(jax.random.key(0)))
    assert (found != np.asarray(run(jax.random.key(1)))).any()
    assert 0 <= found.min() <= found.max() <= 1
