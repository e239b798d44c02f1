"""Sizes at which the function broadcasts by accident what it does not in the example."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.verify.rules import assert_only_the_fault_is_seen

pytestmark = pytest.mark.usefixtures("a_users_jax")


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
