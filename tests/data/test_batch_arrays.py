import re

import numpy as np
import pytest
from PIL import Image

from purecnn.data.batch_arrays import as_batch, as_pixels
from tests.data.making import pictures

IMAGES, LABELS = pictures(10, (4, 3, 2), 3)


def test_floats_are_float32_as_they_are_and_grey_images_get_their_channel():
    images, labels = as_batch(list(IMAGES[..., 0] / 100 - 1), [int(label) for label in LABELS])
    assert (images.shape, images.dtype, labels.dtype) == ((10, 4, 3, 1), np.float32, np.int32)
    np.testing.assert_array_equal(images[..., 0], (IMAGES[..., 0] / 100 - 1).astype(np.float32))


def test_tensors_of_pytorch_with_a_gradient_on_a_gpu_and_in_bfloat16_are_read():
    """As PyTorch does, this one refuses to be NumPy's until it has been detached, copied and widened, in this order."""

    class Tensor:
        __module__ = "torch"
        dtype = "torch.bfloat16"

        def __init__(self, left=("detach", "cpu", "float")):
            self.left = left

        def _after(self, name):
            assert self.left[0] == name
            return Tensor(self.left[1:])

        detach, cpu, float = (lambda self, name=name: self._after(name) for name in ("detach", "cpu", "float"))

        def __array__(self, *_, **__):
            assert not self.left
            return IMAGES.transpose(0, 3, 1, 2).astype(np.float32)

    images, _ = as_batch(Tensor(), LABELS)
    np.testing.assert_array_equal(images, IMAGES)


def test_tensors_of_pytorch_have_their_channels_moved():
    tensor = type(
        "Tensor", (), {"__module__": "torch", "__array__": lambda self, *_, **__: IMAGES.transpose(0, 3, 1, 2)}
    )
    np.testing.assert_array_equal(as_batch(tensor(), LABELS)[0], IMAGES)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 8, 9), (8, 9, 3)), ((8, 9, 3), (8, 9, 3)), ((1, 28, 28), (28, 28, 1)), ((28, 28, 1), (28, 28, 1)),
     ((3, 4, 3), (4, 3, 3)), ((16, 8, 8), (8, 8, 16)), ((3, 8, 3), (8, 3, 3))],
)  # fmt: skip
def test_tensors_of_pytorch_that_have_them_last_stay(shape, expected):
    pixels = np.arange(2 * np.prod(shape), dtype=np.float32).reshape(2, *shape)
    tensor = type("Tensor", (), {"__module__": "torch", "__array__": lambda self, *_, **__: pixels})
    found = as_batch(tensor(), [0, 1])[0]
    np.testing.assert_array_equal(found, pixels if shape == expected else pixels.transpose(0, 2, 3, 1))
    assert found.shape == (2, *expected)


@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr"])
def test_images_of_a_palette_or_of_inks_are_refused_and_grey_ones_and_those_with_colours_taken(mode):
    """NumPy makes of them the numbers of a palette's colours, and how much of each ink there is."""
    plain = [Image.fromarray(image.repeat(2, -1)[..., :3]) for image in IMAGES]
    np.testing.assert_array_equal(as_batch(plain, LABELS)[0], IMAGES.repeat(2, -1)[..., :3])
    assert as_batch([image.convert("L") for image in plain], LABELS)[0].shape == (10, 4, 3, 1)
    other = [*plain[:5], *(image.convert(mode) for image in plain[5:])]
    message = rf"data: images: got an image of mode {mode}, expected grey ones or RGB; image\.convert\('RGB'\) makes it"
    with pytest.raises(ValueError, match=message):
        as_batch(other, LABELS)


@pytest.mark.parametrize(
    ("images", "hint"),
    [
        (IMAGES.astype(np.int64), "images.astype(np.uint8)"),
        (IMAGES.astype(np.uint16) * 200, "images / 65535"),
        (IMAGES.astype(np.int64) * 1000, "images / 2"),
        (IMAGES.astype(np.int16) - 128, "(images - images.min()) / np.ptp(images)"),
    ],
)
def test_integers_that_are_no_bytes_are_told_what_makes_pixels_of_them(images, hint):
    with pytest.raises(ValueError, match=rf"^data: images: got dtype .*; {re.escape(hint)}.* makes them$"):
        as_batch(images, LABELS)


def test_pairs_in_the_place_of_images_are_named_as_that():
    with pytest.raises(ValueError, match=r"images: got pairs, as \(images, labels\), expected images alone"):
        as_pixels([(IMAGES, LABELS)])
