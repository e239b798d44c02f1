import jax
import numpy as np
import pytest

from purecnn.geometry import window2d
from purecnn.layers import convolution_chunks
from tests.oracles import loops
from tests.oracles.roads import assert_close, quick_jit

GEOMETRIES = {
    "plain": {},
    "rows left over": {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)},
    "rows dilated": {"stride": (1, 2), "padding": ((2, 1), (1, 0)), "dilation": (2, 1)},
}


def integers(*shapes):
    rng = np.random.default_rng(0)
    return [jax.numpy.asarray(rng.integers(-3, 4, shape), "float32") for shape in shapes]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("groups", [1, 2])
def test_equals_the_loops_exactly(geometry, groups):
    options = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), **GEOMETRIES[geometry]}
    x_shape, w_shape = (4, 6, 7, 4), (3, 2, 4 // groups, 6)
    places = window2d("conv2d", x_shape, w_shape[:2], **options)
    x, w, y_bar = integers(x_shape, w_shape, (4, *places.output, 6))
    _, (_, w_bar, _) = loops.conv2d(y_bar, np.asarray(x), np.asarray(w), groups=groups, **options)
    got = quick_jit(lambda x, y_bar: convolution_chunks.weight_cotangent(x, y_bar, places, groups))(x, y_bar)
    assert_close(got, w_bar, 0)


@pytest.mark.parametrize("pieces", [6, 3, 1])
def test_chunks_of_any_size_give_the_same_sum(monkeypatch, pieces):
    monkeypatch.setattr(convolution_chunks, "pieces_that_fit", lambda *_: pieces)
    x, w, y_bar = integers((6, 5, 5, 2), (3, 3, 2, 4), (6, 3, 3, 4))
    _, (_, w_bar, _) = loops.conv2d(y_bar, np.asarray(x), np.asarray(w))
    places = window2d("conv2d", x.shape, (3, 3))
    got = quick_jit(lambda x, y_bar: convolution_chunks.weight_cotangent(x, y_bar, places, 1))(x, y_bar)
    assert_close(got, w_bar, 0)
