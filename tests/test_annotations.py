"""The shapes and dtypes written in signatures are checked while these tests run, also inside transformations."""

import jax
import jax.numpy as jnp
import jaxtyping
import pytest

import purecnn
from purecnn.geometry import window_dims
from purecnn.offsets import read_offsets

DIMS = window_dims("test", (1, 4, 4, 1), 2)


def test_a_private_function_given_the_wrong_rank_is_caught():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'x'"):
        list(read_offsets(jnp.ones((4, 4)), DIMS))


def test_shapes_that_do_not_belong_together_are_caught():
    """One letter, two sizes: "n inputs" beside "inputs outputs"."""
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'w'"):
        purecnn.dense(jnp.ones((2, 4)), jnp.ones((3, 5)))


def test_a_wrong_output_is_caught(monkeypatch):
    monkeypatch.setattr("purecnn.layers.max_pool2d.fold_offsets", lambda first, step, x, *more: first(x[0]))
    with pytest.raises(jaxtyping.TypeCheckError, match="return value"):
        purecnn.max_pool2d(jnp.ones((1, 4, 11, 1)))  # of a shape that no other test has compiled a pool for


def test_a_wrong_option_is_caught():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'algorithm'"):
        purecnn.conv2d(jnp.ones((1, 4, 4, 1)), jnp.ones((2, 2, 1, 1)), algorithm=3)


@pytest.mark.parametrize(
    "transform",
    [
        jax.jit,
        lambda f: jax.grad(lambda x: f(x).sum()),
        jax.vmap,
        lambda f: lambda x: jax.eval_shape(f, x),
    ],
    ids=["jit", "grad", "vmap", "eval_shape"],
)
def test_inside_transformations_too(transform):
    @transform
    def of_the_wrong_rank(x):
        return sum(read_offsets(x[..., 0, 0], DIMS))

    with pytest.raises(jaxtyping.TypeCheckError):
        of_the_wrong_rank(jnp.ones((3, 4, 4, 1, 1)))


def test_what_is_checked_per_sample_under_vmap_has_no_batch_axis():
    images = jnp.ones((3, 2, 4, 4, 1))
    assert jax.vmap(purecnn.max_pool2d)(images).shape == (3, 2, 2, 2, 1)
    with pytest.raises(jaxtyping.TypeCheckError):
        purecnn.max_pool2d(images)


def test_a_user_does_not_get_jaxtypings_errors(users_errors):
    with pytest.raises(ValueError, match="max_pool2d: x: got shape"):
        purecnn.max_pool2d(jnp.ones((4, 4)))
