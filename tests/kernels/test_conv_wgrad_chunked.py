import jax
import numpy as np
import pytest

from purecnn.geometry import conv_dims
from purecnn.kernels import conv_wgrad_chunked
from tests.oracles import loops
from tests.oracles.roads import assert_close, quick_jit


@pytest.mark.parametrize("chunks", [6, 3, 1])
def test_chunks_of_any_size_give_the_same_sum(monkeypatch, chunks):
    monkeypatch.setattr(conv_wgrad_chunked, "chunks_that_fit", lambda *_: chunks)
    rng = np.random.default_rng(0)
    x, w, y_bar = (
        jax.numpy.asarray(rng.integers(-3, 4, shape), "float32") for shape in ((6, 5, 5, 2), (3, 3, 2, 4), (6, 3, 3, 4))
    )
    _, (_, w_bar, _) = loops.conv2d(y_bar, np.asarray(x), np.asarray(w))
    dims = conv_dims("test", x.shape, w.shape)
    got = quick_jit(lambda x, y_bar: conv_wgrad_chunked.weight_cotangent(x, y_bar, dims))(x, y_bar)
    assert_close(got, w_bar, 0)
