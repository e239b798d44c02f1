"""Sizes that the function takes by accident, those whose axes it does not read as a whole, and without a value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.verify.rules import assert_only_the_fault_is_seen

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def test_the_even_and_the_odd_of_three():
    """Of 3 the even ones are 2 and the odd ones 1, which broadcasts; the function refuses 5."""

    def haar(x):
        return (x[..., ::2] + x[..., 1::2]) / 2, (x[..., ::2] - x[..., 1::2]) / 2

    def bwd(r, g, *, wrong):
        low, high = g
        odd = low + high if wrong else low - high
        return (jnp.stack([low + high, odd], -1).reshape(*low.shape[:-1], -1) / 2,)

    x = np.random.default_rng(0).standard_normal((2, 6, 8)).astype(np.float32)
    assert_only_the_fault_is_seen(haar, bwd, x, checks=("contract", "gradient"))


def test_two_coordinates_read_one_by_one_are_all_there_are():
    """The function takes 130 of them, too, and reads the first two."""

    def scaled(p, u):
        return p * (u[..., 0] + 2 * u[..., 1])[..., None]

    def bwd(r, g, *, wrong):
        p, u = r
        t = (g * p).sum(-1)
        return g * (u[..., 0] + 2 * u[..., 1])[..., None], jnp.stack([t, t if wrong else 2 * t], -1)

    assert_only_the_fault_is_seen(scaled, bwd, normal(5, 2), normal(5, 2), checks=("contract", "gradient"))


def test_an_image_smaller_than_the_window_has_no_value():
    """The mean over no window is NaN."""

    def smooth(x):
        sums = jax.lax.reduce_window(x * x, 0.0, jax.lax.add, (3, 3), (1, 1), "VALID")
        return sums.mean()

    def bwd(r, g, *, wrong):
        (x,) = r
        height, width = x.shape
        spread = jnp.full((height - 2, width - 2), g / (height - 2) / (width - 2))
        counts = jax.lax.reduce_window(jnp.pad(spread, 2), 0.0, jax.lax.add, (3, 3), (1, 1), "VALID")
        return ((1 if wrong else 2) * counts * x,)

    assert_only_the_fault_is_seen(smooth, bwd, normal(7, 8), checks=("contract", "gradient"))


def test_rows_that_go_by_pairs_have_no_value_where_one_is_left():
    """The label of the seventh row is an eighth: the loss is NaN, and its gradient depends on the formula."""

    def loss(x):
        labels = jnp.arange(len(x)) ^ 1
        return -jnp.take_along_axis(jax.nn.log_softmax(x @ x.T), labels[:, None], 1).mean()

    def bwd(r, g, *, wrong):
        (x,) = r
        labels = jnp.arange(len(x)) ^ 1
        bar = (jax.nn.softmax(x @ x.T) - jax.nn.one_hot(labels, len(x), dtype=x.dtype)) * g / len(x)
        return ((bar if wrong else bar + bar.T) @ x,)

    assert_only_the_fault_is_seen(loss, bwd, normal(6, 4), checks=("contract", "gradient"))
