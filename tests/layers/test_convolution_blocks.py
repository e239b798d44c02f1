import jax
import numpy as np
import pytest

from purecnn.geometry import window2d
from purecnn.layers import convolution_blocks
from tests.oracles import loops
from tests.oracles.roads import assert_trees_close, quick_jit

GEOMETRIES = {
    "four a block": ((2, 5, 8, 3), (3, 3), {"padding": ((1, 1), (1, 1))}),
    "one a block": ((2, 4, 12, 1), (2, 2), {}),  # 11 outputs in a row: no block divides them
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

    @quick_jit
    def products(x, w, y_bar):
        return (
            convolution_blocks.forward(x, w, places),
            convolution_blocks.input_cotangent(y_bar, w, places),
            convolution_blocks.weight_cotangent(x, y_bar, places),
        )

    assert_trees_close(products(x, w, y_bar), (y, x_bar, w_bar), 0)


@pytest.mark.parametrize(("outputs", "block"), [(28, 7), (14, 7), (32, 8), (12, 6), (11, 1), (1, 1)])
def test_a_block_divides_the_outputs_of_a_row(outputs, block):
    assert convolution_blocks._block(window2d("conv2d", (1, 3, outputs, 1), 1)) == block
