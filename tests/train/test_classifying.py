import numpy as np
import pytest
from PIL import Image

import purecnn
from purecnn.data.digits import read_digits
from purecnn.results.trained import load_trained, make_classifier


def test_a_loaded_run_gives_the_probabilities_of_arrays(finished):
    loaded, test = purecnn.load(finished), read_digits().test
    shares = loaded.predict(test.images)
    assert (shares.dtype, shares.shape) == (np.float32, (len(test), 10))
    np.testing.assert_allclose(shares, make_classifier(load_trained(finished))(test.images)[1], atol=1e-6)
    whole = test.images if test.images.dtype != np.uint8 else test.images / np.float32(255)
    for images in (whole.astype(np.float64), whole[..., 0], list(whole)):  # as others hold them
        np.testing.assert_allclose(loaded.predict(images), shares, atol=1e-6)
    for one in (whole[0], whole[0, ..., 0]):
        np.testing.assert_allclose(loaded.predict(one), shares[:1], atol=1e-6)


def test_images_of_pil_and_tensors_of_pytorch_are_taken_as_fit_takes_them(finished):
    loaded, images = purecnn.load(finished), np.arange(128, dtype=np.uint8).reshape(2, 8, 8, 1)
    shares = loaded.predict(images)
    pictures = [Image.fromarray(image[..., 0]) for image in images]
    np.testing.assert_allclose(loaded.predict(pictures), shares, atol=1e-6)
    np.testing.assert_allclose(loaded.predict(pictures[0]), shares[:1], atol=1e-6)

    def tensor(array):
        return type("Tensor", (), {"__module__": "torch", "__array__": lambda self, *_, **__: array})()

    first = images.transpose(0, 3, 1, 2)
    for given in (tensor(first), tensor(images), [tensor(image) for image in first]):
        np.testing.assert_allclose(loaded.predict(given), shares, atol=1e-6)
    np.testing.assert_allclose(loaded.predict(tensor(first[0])), shares[:1], atol=1e-6)


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (
            np.zeros((2, 8, 8, 3), np.uint8),
            ValueError,
            r"got shape \(2, 8, 8, 3\), expected \(N, 8, 8, 1\), .*; PIL's image\.convert\('L'\) is one that it takes$",
        ),
        (
            np.zeros((2, 1, 8, 8), np.uint8),
            ValueError,
            r"got shape \(2, 1, 8, 8\), expected .*; of N C H W: images.transpose\(0, 2, 3, 1\)$",
        ),
        (np.zeros((9, 9, 1), np.uint8), ValueError, r"predict resizes files; PIL's image\.resize\(\(8, 8\)\) is"),
        (Image.new("RGB", (9, 8)), ValueError, r"; PIL's image\.convert\('L'\)\.resize\(\(8, 8\)\) is one that it"),
        (np.zeros((0, 8, 8, 1), np.uint8), ValueError, r"got shape \(0, 8, 8, 1\), .*; purecnn predict resizes files$"),
        ("a.png", ValueError, r"^images: got a path, expected pixels; .*; purecnn predict RUN FILE reads files$"),
        (["a.png"], ValueError, "^images: got a path, expected pixels"),
        ([Image.new("L", (8, 8)), Image.new("L", (9, 8))], ValueError, "^images: got shapes .* expected one for all"),
        (
            Image.new("P", (8, 8)),
            ValueError,
            "^images: got an image of mode P, expected grey ones or RGB; image.convert",
        ),
        (object(), ValueError, r"got shape \(\), expected"),
        (np.zeros((2, 8, 8, 1), int), TypeError, "got int64, expected uint8, or floating numbers as it was trained on"),
        (
            np.full((2, 8, 8, 1), np.nan),
            ValueError,
            "predict: images: got values from nan to nan, expected finite ones",
        ),
    ],
)
def test_what_the_net_does_not_take_is_said(finished, images, error, words):
    with pytest.raises(error, match=words):
        purecnn.load(finished).predict(images)


def test_bytes_as_floating_numbers_are_a_warning(finished):
    with pytest.warns(UserWarning, match=r"predict: got floating numbers from 0 to 200, expected \[0, 1\]"):
        purecnn.load(finished).predict(np.concatenate([np.zeros((1, 8, 8, 1)), np.full((1, 8, 8, 1), 200.0)]))
