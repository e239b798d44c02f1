from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.data import augmentation
from purecnn.data.interpolation import interpolated

pytestmark = pytest.mark.usefixtures("little_compilation")

HEIGHT, WIDTH = 24, 20


def drawn(*shape):
    return jnp.asarray(np.random.default_rng(0).random(shape), jnp.float32)


@partial(jax.jit, static_argnames=("angle", "stretch", "shift"))
def random_warp(key, images, **amounts):
    return augmentation.random_warp(key, images, **amounts)


def source_positions(key, images=64, **amounts):
    """Where the inner pixels come from: linear interpolation of an image of its own coordinates gives the position."""
    rows, columns = np.indices((HEIGHT, WIDTH)).astype(np.float32)
    picture = np.stack([rows, columns], axis=-1)
    warped = np.asarray(random_warp(key, jnp.asarray(np.tile(picture, (images, 1, 1, 1))), **amounts))
    inner = (slice(8, 16), slice(7, 13))
    middle = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])
    new = picture[inner].reshape(-1, 2) - middle
    return new, warped[:, *inner].reshape(images, -1, 2) - middle


def test_each_image_has_its_own_affine_map_within_the_bounds():
    new, old = source_positions(jax.random.key(0), angle=0.2, stretch=0.1, shift=0.05)
    design = np.concatenate([new, np.ones((len(new), 1))], axis=1)
    maps = np.stack([np.linalg.lstsq(design, positions, rcond=None)[0] for positions in old])
    np.testing.assert_allclose(design @ maps, old, atol=1e-4)

    linear, offset = maps[:, :2].transpose(0, 2, 1), maps[:, 2]
    assert (np.abs(offset) <= 0.05 * np.array([HEIGHT, WIDTH])).all()
    # A rotation by at most 0.2 and then at most 0.1 on every entry.
    assert (np.abs(linear[:, [0, 1], [1, 0]]) <= np.sin(0.2) + 0.1 + 1e-4).all()
    diagonal = linear[:, [0, 1], [0, 1]]
    assert (diagonal <= 1.1 + 1e-4).all()
    assert (diagonal >= np.cos(0.2) - 0.1 - 1e-4).all()
    assert (maps.std(axis=0) > 0.02).all()


def test_a_rotation_alone_keeps_distances():
    new, old = source_positions(jax.random.key(1), angle=0.3, stretch=0.0, shift=0.0)
    np.testing.assert_allclose(np.linalg.norm(old, axis=2), np.tile(np.linalg.norm(new, axis=1), (64, 1)), atol=1e-3)
    assert np.abs(old - new).max() > 0.5


def test_amounts_of_zero_change_nothing():
    images = drawn(3, 7, 5, 2)
    still = random_warp(jax.random.key(1), images, angle=0.0, stretch=0.0, shift=0.0)
    np.testing.assert_allclose(still, images, atol=1e-5)


def test_pixels_from_outside_are_zero_and_the_dtype_stays():
    images = jnp.ones((200, 8, 8, 1), jnp.float32)
    warped = random_warp(jax.random.key(0), images, angle=0.0, stretch=0.0, shift=0.25)
    assert warped.dtype == images.dtype
    assert warped.min() == 0
    assert warped.max() <= 1 + 1e-6


def test_the_key_decides():
    images = drawn(4, 8, 8, 1)
    one = random_warp(jax.random.key(1), images)
    np.testing.assert_array_equal(one, random_warp(jax.random.key(1), images))
    assert (one != random_warp(jax.random.key(2), images)).any()


def read_by_loops(image, y, x):
    """One image read at the positions (y, x), a loop over positions and over the four pixels around each."""
    height, width, channels = image.shape
    out = np.zeros((len(y), channels))
    for at in range(len(y)):
        top, left = int(np.floor(y[at])), int(np.floor(x[at]))
        for row in (top, top + 1):
            for column in (left, left + 1):
                if 0 <= row < height and 0 <= column < width:
                    out[at] += (1 - abs(y[at] - row)) * (1 - abs(x[at] - column)) * image[row, column]
    return out


def test_interpolation_equals_loops_also_outside_and_on_the_edge():
    rng = np.random.default_rng(0)
    images = rng.random((3, 5, 4, 2), np.float32)
    y, x = rng.uniform(-3, 8, (3, 20)).astype(np.float32), rng.uniform(-3, 7, (3, 20)).astype(np.float32)
    y[0, :6], x[0, :6] = [0, 4, -1, 5, 4.5, -0.5], [0, 3, 1, 2, 3.5, -0.5]  # on pixels, one beyond, half outside
    found = jax.jit(interpolated)(images, y, x)
    expected = [read_by_loops(*each) for each in zip(images, y.astype(float), x.astype(float), strict=True)]
    np.testing.assert_allclose(np.asarray(found).reshape(3, 20, 2), expected, atol=1e-6)


IMAGES = jnp.asarray(np.random.default_rng(5).uniform(0.25, 1, (40, 8, 16, 2)), jnp.float32)
RUN = {name: jax.jit(augmentation.make_augmentation(name)) for name in (*augmentation.AUGMENTATIONS, "flip+crop")}


def shifted(image, dy, dx):
    """What `image` shows when its window moves by (dy, dx), pixel by pixel; outside it is 0."""
    height, width, _ = image.shape
    out = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            if 0 <= y + dy < height and 0 <= x + dx < width:
                out[y, x] = image[y + dy, x + dx]
    return out


def square_cut(image, top, left, side):
    out = image.copy()
    for y in range(top, top + side):
        for x in range(left, left + side):
            if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                out[y, x] = 0
    return out


# For every augmentation, all that it may make of one image.
OUTCOMES = {
    "flip": lambda image: [image, image[:, ::-1]],
    "crop": lambda image: [shifted(image, dy, dx) for dy in (-1, 0, 1) for dx in (-2, -1, 0, 1, 2)],
    "cutout": lambda image: [square_cut(image, y - 2, x - 2, 4) for y in range(8) for x in range(16)],
}
OUTCOMES["flip+crop"] = lambda image: [each for one in OUTCOMES["flip"](image) for each in OUTCOMES["crop"](one)]


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_image_becomes_what_a_loop_over_pixels_makes_of_it_and_many_kinds_occur(name):
    changed, images = np.asarray(RUN[name](jax.random.key(7), IMAGES)), np.asarray(IMAGES)
    chosen = []
    for before, after in zip(images, changed, strict=True):
        fitting = [n for n, wanted in enumerate(OUTCOMES[name](before)) if (wanted == after).all()]
        assert len(fitting) == 1, "not one of its outcomes, or outcomes that cannot be told apart"
        chosen += fitting
    kinds = len(OUTCOMES[name](images[0]))
    assert len(set(chosen)) >= min(kinds, 10)


@pytest.mark.parametrize("name", RUN)
def test_shape_dtype_range_and_the_key_decides(name):
    one = RUN[name](jax.random.key(1), IMAGES)
    assert (one.shape, one.dtype) == (IMAGES.shape, IMAGES.dtype)
    assert float(one.min()) >= 0
    assert float(one.max()) <= 1 + 1e-6
    np.testing.assert_array_equal(one, RUN[name](jax.random.key(1), IMAGES))
    assert (one != RUN[name](jax.random.key(2), IMAGES)).any()


def test_a_resized_crop_shows_a_piece_of_its_area_and_ratio_enlarged():
    """Of images whose channels are the row and the column, the middles of the pixels, as shares of the whole."""
    n, height, width = 500, 12, 24
    rows, columns = ((np.arange(extent) + 0.5) / extent for extent in (height, width))
    image = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    images = jnp.broadcast_to(jnp.asarray(image, jnp.float32), (n, height, width, 2))
    found = np.asarray(augmentation.random_resized_crop(jax.random.key(0), images, least=0.25), float)
    np.testing.assert_allclose(found[..., 0], np.broadcast_to(found[:, :, :1, 0], found.shape[:3]), atol=1e-6)
    np.testing.assert_allclose(found[..., 1], np.broadcast_to(found[:, :1, :, 1], found.shape[:3]), atol=1e-6)
    # Inside the outermost pixels, equal steps; of two neighbours in the middle, the step is the crop's own.
    high = (found[:, 7, 0, 0] - found[:, 5, 0, 0]) / 2 * height
    wide = (found[:, 0, 13, 1] - found[:, 0, 11, 1]) / 2 * width
    area, ratio = high * wide, wide / high
    assert 0.2 < area.min() < 0.27  # less than 0.25 where the crop is longer than the image
    assert 0.9 < area.max() <= 1 + 1e-5
    assert 3 / 4 - 1e-4 < ratio.min() < 0.8 < 1.25 < ratio.max() < 4 / 3 + 1e-4
    assert 0.45 < found[:, 5:7, 0, 0].mean() < 0.55  # anywhere, on both sides alike
    assert found[:, 0, 0, 0].min() < 0.1 < 0.9 < found[:, -1, 0, 0].max()


def test_resized_crop_takes_its_least_area_from_make_augmentation():
    images = drawn(3, 8, 8, 1)
    for name in ("resized_crop", "resized_crop+flip"):
        whole = augmentation.make_augmentation(name, 1.0)(jax.random.key(1), images)
        assert (np.asarray(whole) != np.asarray(augmentation.make_augmentation(name)(jax.random.key(1), images))).any()
    with pytest.raises(ValueError, match=r"got 'flip\+resized_crop', expected resized_crop to be the first"):
        augmentation.make_augmentation("flip+resized_crop")


def test_a_single_one_is_the_function_itself_and_none_changes_nothing():
    assert (
        augmentation.make_augmentation("warp") is augmentation.random_warp
    )  # the run of `make train` stays what it is
    assert augmentation.make_augmentation("none")(jax.random.key(0), IMAGES) is IMAGES


@pytest.mark.parametrize("name", ["", "flop", "flip+", "flip+flip", "none+flip", "flip,crop", "Flip"])
def test_other_names_are_refused(name):
    with pytest.raises(
        ValueError, match=r"augmentation: got .*, expected none or some of resized_crop, warp, flip, crop, jitter, rand"
    ):
        augmentation.make_augmentation(name)


def test_what_mixes_labels_too_is_an_option_of_its_own():
    with pytest.raises(ValueError, match=r"joined by \+; mixup is an option of its own$"):
        augmentation.make_augmentation("flip+mixup")
