import jax
import numpy as np
import pytest

from purecnn.geometry import conv_dims
from purecnn.kernels import conv_winograd as winograd
from tests.kernels.test_every_kernel import EQUATIONS, made, results
from tests.oracles.agreement import assert_trees_close

ALL = {name: getattr(winograd, name) for name in EQUATIONS}


def test_chunks_of_a_batch_give_the_same_numbers(monkeypatch):
    monkeypatch.setattr(winograd, "CHUNK_BYTES", 0)
    dims, arrays, expected = made(((3, 5, 4, 2), (3, 2), 3, {}))
    assert_trees_close(results(ALL, dims, *arrays), expected, 0)


@pytest.mark.parametrize("window", [(5, 5), (4, 3), (2, 4)])
def test_four_and_five_offsets_equal_the_loops(window):
    geometry = ((2, 7, 8, 3), window, 3, {"padding": ((2, 1), (0, 2))})
    dims, arrays, expected = made(geometry, np.random.default_rng(1).standard_normal)
    assert_trees_close(results(ALL, dims, *arrays), expected, 1e-5)


@pytest.mark.parametrize(("offsets", "worse"), [(3, 2), (5, 10)])
def test_rounding_is_what_the_module_says(offsets, worse):
    """Root mean square error over 384 channels, of that of the plain sum in float32: 1.5 and 7."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((1, offsets + 7, offsets + 7, 384)).astype("float32")
    w = rng.standard_normal((offsets, offsets, 384, 8)).astype("float32")
    dims = conv_dims("test", x.shape, w.shape)
    patches = np.lib.stride_tricks.sliding_window_view(x, (offsets, offsets), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    rows, matrix = patches.reshape(-1, offsets * offsets * 384), w.reshape(-1, 8)
    exact = (rows.astype("float64") @ matrix.astype("float64")).reshape(1, 8, 8, 8)

    def error(y):
        return np.sqrt(np.mean((np.asarray(y, "float64") - exact) ** 2))

    plain = error((rows @ matrix).reshape(exact.shape))
    assert error(jax.jit(lambda x, w: winograd.forward(x, w, dims))(x, w)) < worse * plain
