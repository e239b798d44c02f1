import jax
import numpy as np
import pytest

from purecnn.geometry import window2d
from purecnn.layers import convolution, convolution_blocks
from tests.oracles import loops
from tests.oracles.roads import assert_trees_close, quick_jit

GEOMETRIES = {
    "four a block": ((2, 5, 8, 2), (3, 3), {"padding": ((1, 1), (1, 1))}),
    "two a block": ((2, 5, 8, 9), (3, 3), {"padding": ((1, 1), (1, 1))}),
    "a last block that is not full": ((2, 4, 12, 1), (2, 2), {}),  # 11 outputs in a row
    "one output in a row": ((2, 4, 3, 7), (2, 3), {}),
    "gaps": ((2, 5, 9, 2), (3, 2), {"padding": ((3, 0), (0, 4)), "dilation": (1, 3)}),
    "columns left over": ((2, 5, 12, 1), (1, 1), {"stride": (1, 3)}),
    "every option": ((2, 5, 9, 2), (3, 3), {"stride": (2, 2), "padding": ((1, 0), (0, 4)), "dilation": (1, 2)}),
}


@pytest.mark.parametrize(("x_shape", "window", "geometry"), GEOMETRIES.values(), ids=GEOMETRIES)
def test_equals_the_loops_exactly(x_shape, window, geometry):
    options = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), **geometry}
    places = window2d("conv2d", x_shape, window, **options)
    rng = np.random.default_rng(0)
    shapes = (x_shape, (*window, x_shape[3], 5), (x_shape[0], *places.output, 5))
    x, w, y_bar = (jax.numpy.asarray(rng.integers(-3, 4, shape), "float32") for shape in shapes)
    y, (x_bar, w_bar, _) = loops.conv2d(y_bar, np.asarray(x), np.asarray(w), **options)
    expected = {"y": y, "w_bar": w_bar}

    def products(x, w, y_bar):
        found = {
            "y": convolution_blocks.forward(convolution._forward, x, w, places),
            "w_bar": convolution_blocks.weight_cotangent(x, y_bar, places),
        }
        if "x_bar" in expected:
            found["x_bar"] = convolution_blocks.input_cotangent(convolution._forward, y_bar, w, places)
        return found

    if places.stride == (1, 1):  # the form knows x̄ of no other
        expected["x_bar"] = x_bar
    assert_trees_close(quick_jit(products)(x, w, y_bar), expected, 0)


@pytest.mark.parametrize(("channels", "outputs", "block"), [(1, 6, 4), (16, 2, 4), (6, 16, 2), (16, 3, 2)])
def test_the_fewer_numbers_the_larger_the_block(channels, outputs, block):
    assert convolution_blocks._block(channels, outputs) == block
