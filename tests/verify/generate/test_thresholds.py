"""A series below a threshold of the rule's own."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.verify.rules import assert_only_the_fault_is_seen

pytestmark = pytest.mark.usefixtures("a_users_jax")
CHECKS = ("contract", "gradient")


def sinc(x):
    small = jnp.abs(x) < 1e-4
    return jnp.where(small, 1 - x * x / 6, jnp.sin(x) / jnp.where(small, 1, x))


def sinc_bwd(r, g, *, wrong):
    (x,) = r
    small = jnp.abs(x) < 1e-4
    far = jnp.where(small, 1, x)
    series = x / 3 if wrong else -x / 3
    return (g * jnp.where(small, series, (far * jnp.cos(far) - jnp.sin(far)) / far**2),)


def test_numbers_below_it_are_tried():
    x = np.random.default_rng(33).standard_normal((4, 5)).astype(np.float32)
    assert_only_the_fault_is_seen(sinc, sinc_bwd, x, checks=CHECKS)
