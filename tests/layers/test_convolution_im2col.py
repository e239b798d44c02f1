import jax
import numpy as np

import purecnn
from purecnn.geometry import window2d
from purecnn.layers import convolution_im2col
from tests.catalogue import CONV
from tests.oracles import loops
from tests.oracles.roads import assert_trees_close, quick_jit


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


def test_no_patch_matrix_is_kept_from_the_forward_pass():
    args = CONV.arguments("float32")
    _, residuals = jax.eval_shape(
        lambda *args: purecnn.conv2d_fwd(*args, **{**CONV.options, "algorithm": "im2col"}), *args
    )
    assert [r.shape for r in residuals] == [a.shape for a in args]
