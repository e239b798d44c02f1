import matplotlib.image
import numpy as np
import pytest

from purecnn.models import lenet, mlp
from purecnn.results.evaluation import Evaluation
from purecnn.results.pictures import draw_filters, draw_gradients, draw_worst, first_kernels
from purecnn.results.trained import Trained
from purecnn.train.metadata import ModelMetadata


def shown(figure):
    return [np.asarray(image.get_array()) for image in figure.axes[0].images]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_worst_images_come_first_under_their_classes(tmp_path, drawn, channels):
    images = np.random.default_rng(0).random((4, 5, 6, channels), np.float32)
    shares = np.array([[0.75, 0.25], [0.125, 0.875], [0.5, 0.5], [0.0, 1.0]], np.float32)
    names = ("a/0.png", "a/1.png", "b/2.png", "b/3.png")
    classes = ("a$b$", "a very long name of a class")
    result = Evaluation(classes, np.array([0, 0, 1, 1], np.int32), shares, shares, names)
    draw_worst(tmp_path / "worst.png", result, images, "a net", count=3)
    titles = [text.get_text() for text in drawn[0].axes[0].texts]
    assert titles == [
        "a$b$: 12.5%\npredicted as a very long name\nof a class: 87.5%\na/1.png",
        "a very long name of a class:\n50.0%\npredicted as a$b$: 50.0%\nb/2.png",
        "a$b$: 75.0%\nright: 75.0%\na/0.png",
    ]
    expected = images[1] if channels == 3 else images[1].mean(axis=2)
    np.testing.assert_allclose(shown(drawn[0])[0], expected * 255, atol=0.5001)
    assert matplotlib.image.imread(tmp_path / "worst.png").std() > 0


def trained(net, w, shape):
    params = [{} for _ in net.layers]
    params[1 if net.name == "mlp" else 0] = {"w": w, "b": np.zeros(w.shape[-1], np.float32)}
    return Trained(ModelMetadata(net.name, "", "", (), shape), net, params, [])


def test_the_first_kernels_are_those_of_a_convolution_or_of_a_flattened_image():
    w = np.arange(2 * 3 * 3 * 5, dtype=np.float32).reshape(2, 3, 3, 5)
    np.testing.assert_array_equal(first_kernels(trained(lenet(), w, (8, 8, 3))), w)
    np.testing.assert_array_equal(first_kernels(trained(mlp(), w.reshape(18, 5), (2, 3, 3))), w)
    assert first_kernels(trained(mlp(), w.reshape(18, 5), (3, 3, 3))) is None


def test_every_filter_is_scaled_by_itself_and_middle_grey_is_zero(tmp_path, drawn):
    kernels = np.zeros((2, 2, 1, 3), np.float32)
    kernels[0, 0, 0, 0], kernels[1, 1, 0, 1] = -4, 0.5
    draw_filters(tmp_path / "filters.png", kernels, "a net")
    np.testing.assert_array_equal(
        shown(drawn[0]), [[[0, 128], [128, 128]], [[128, 128], [128, 255]], [[128, 128], [128, 128]]]
    )
    draw_filters(tmp_path / "colours.png", np.ones((2, 2, 3, 100), np.float32), "many")
    assert [image.shape for image in shown(drawn[1])] == [(2, 2, 3)] * 96


def test_the_gradients_are_those_of_the_metrics(tmp_path, drawn):
    metrics = [{"epoch": e, "gradient_norms": {"0 conv2d": 2.0**-e, "4 dense": 1 / e}} for e in (1, 2, 3)]
    draw_gradients(tmp_path / "gradients.png", metrics, "a net")
    (axes,) = drawn[0].axes
    assert [line.get_label() for line in axes.lines] == ["0 conv2d", "4 dense"]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[1, 0.5], [2, 0.25], [3, 0.125]])
    assert axes.get_yscale() == "log"
    assert matplotlib.image.imread(tmp_path / "gradients.png").std() > 0
