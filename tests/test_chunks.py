import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.chunks import chunks_that_fit, map_chunks, sum_chunks
from tests.oracles.agreement import assert_close

X, Y = np.arange(24.0, dtype="float32").reshape(12, 2), np.arange(36, dtype="float32").reshape(12, 3) - 17


@pytest.mark.parametrize("chunks", [1, 2, 3, 12])
def test_a_map_of_chunks_is_that_of_the_batch(chunks):
    """Images stay in their order; results may be of several shapes and dtypes."""
    squares, positive = jax.jit(lambda x: map_chunks(lambda x: (x[:, :1] ** 2, x.sum(1) > 9), chunks, x))(X)
    np.testing.assert_array_equal(squares, X[:, :1] ** 2)
    np.testing.assert_array_equal(positive, X.sum(1) > 9)
    assert positive.dtype == bool


@pytest.mark.parametrize("chunks", [1, 2, 3, 12])
def test_a_sum_over_chunks_is_that_over_the_batch(chunks):
    total = jax.jit(lambda x, y: sum_chunks(lambda x, y: x.T @ y, chunks, x, y))(X, Y)
    np.testing.assert_array_equal(total, X.T @ Y)


def test_a_batch_of_none():
    (none,) = map_chunks(lambda x: (x + 1,), 1, jnp.zeros((0, 2)))
    assert none.shape == (0, 2)
    assert_close(sum_chunks(lambda x, y: x.T @ y, 1, jnp.zeros((0, 2)), jnp.zeros((0, 3))), np.zeros((2, 3)), 0)


def test_all_have_derivatives_and_may_be_mapped():
    """What second derivatives and per-sample gradients ask of a rule's own program."""

    def loss(x):
        return map_chunks(lambda x: (x**3,), 3, x)[0].sum() + sum_chunks(lambda x: (x**2).sum(0), 3, x).sum()

    assert_close(jax.jit(jax.grad(loss))(X), 3 * X**2 + 2 * X, 1e-6)
    both, cubes, squares = jnp.stack([X, -X]), (X**3).sum(), (X**2).sum()
    assert_close(jax.jit(jax.vmap(loss))(both), [squares + cubes, squares - cubes], 1e-6)


@pytest.mark.parametrize(("room", "chunks"), [(1200, 1), (1199, 2), (400, 3), (399, 4), (100, 12), (99, 12), (0, 12)])
def test_the_fewest_chunks_that_fit(room, chunks):
    assert chunks_that_fit(12, 100, room) == chunks
    assert chunks_that_fit(0, 100, room) == 1
