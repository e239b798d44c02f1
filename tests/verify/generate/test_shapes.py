"""Axes that take twice and three times as many entries as in the example, and not one more."""

import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import with_arguments

pytestmark = pytest.mark.usefixtures("a_users_jax")
X = np.random.default_rng(0).standard_normal((3, 4, 2)).astype(np.float32)


def angles(x):
    pairs = x.shape[-1] // 2
    return jnp.arange(x.shape[-2])[:, None] * 100.0 ** (-jnp.arange(pairs) / pairs)


def turned(x, sign=1):
    """Rotary embedding: neighbours are a pair."""
    c, s = jnp.cos(angles(x)), sign * jnp.sin(angles(x))
    a, b = x[..., ::2], x[..., 1::2]
    return jnp.stack([a * c - b * s, b * c + a * s], -1)


@pytest.mark.parametrize("wrong", [True, False])
def test_more_pairs_than_the_one_of_the_example_are_tried(wrong):
    def bwd(r, g):
        back = turned(g, sign=-1)
        return ((back.swapaxes(-1, -2) if wrong else back).reshape(g.shape),)

    own = with_arguments(lambda x: turned(x).reshape(x.shape), bwd)
    assert verify.check(own, X, checks=("contract", "gradient")).verdict == ("wrong" if wrong else "right")
