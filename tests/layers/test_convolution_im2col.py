import jax
import numpy as np

import purecnn
from purecnn.geometry import window2d
from purecnn.layers import convolution_im2col
from tests.catalogue import CONV
from tests.oracles import loops
from tests.oracles.roads import assert_close, assert_trees_close, quick_jit


def integers(*shapes):
    rng = np.random.default_rng(0)
    return [jax.numpy.asarray(rng.integers(-3, 4, shape), "float32") for shape in shapes]


def test_every_product_equals_the_loops():
    x, w, y_bar = integers((4, 5, 4, 4), (2, 3, 2, 6), (4, 3, 2, 6))
    options = {name: CONV.options[name] for name in ("stride", "padding", "dilation")}
    places = window2d("conv2d", x.shape, (2, 3), **options)
    y, (x_bar, w_bar, _) = loops.conv2d(y_bar, np.asarray(x), np.asarray(w), groups=2, **options)

    @quick_jit
    def products(x, w, y_bar):
        return (
            convolution_im2col.forward(x, w, places, 2),
            convolution_im2col.input_cotangent(y_bar, w, places, 2),
            convolution_im2col.weight_cotangent(x, y_bar, places, 2),
        )

    assert_trees_close(products(x, w, y_bar), (y, x_bar, w_bar), 0)


def test_chunks_of_any_size_give_the_same_sum(monkeypatch):
    x, y_bar = integers((6, 5, 5, 2), (6, 3, 3, 4))
    places = window2d("conv2d", x.shape, (3, 3))
    whole = quick_jit(lambda x, y_bar: convolution_im2col.weight_cotangent(x, y_bar, places, 1))(x, y_bar)
    per_image = 3 * 3 * 9 * 2 * 4
    for images in (0, 5, 6):  # room for none still takes 1, room for 5 takes 3, the divisor of 6
        monkeypatch.setattr(convolution_im2col, "CHUNK_BYTES", images * per_image)
        in_chunks = quick_jit(lambda x, y_bar: convolution_im2col.weight_cotangent_in_chunks(x, y_bar, places, 1))
        assert_close(in_chunks(x, y_bar), whole, 0)


def test_no_patch_matrix_is_kept_from_the_forward_pass():
    args = CONV.arguments("float32")
    _, residuals = jax.eval_shape(
        lambda *args: purecnn.conv2d_fwd(*args, **{**CONV.options, "algorithm": "im2col"}), *args
    )
    assert [r.shape for r in residuals] == [a.shape for a in args]
