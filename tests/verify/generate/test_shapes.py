"""Axes that take a multiple of the entries that they have in the example, and not one more."""

import functools

import jax
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


def attention(q, k, v, repeated=jnp.repeat):
    """As many heads of q as a multiple of those of k and v."""
    k, v = (repeated(a, q.shape[0] // k.shape[0]) for a in (k, v))
    return jax.nn.softmax(q @ k.swapaxes(-1, -2)) @ v


@pytest.mark.parametrize("wrong", [True, False])
def test_more_heads_of_the_keys_than_one_are_tried(wrong):
    repeat = lambda a, times: jnp.repeat(a, times, 0)  # noqa: E731
    tile = lambda a, times: jnp.tile(a, (times, 1, 1))  # noqa: E731
    backward = functools.partial(attention, repeated=tile if wrong else repeat)
    own = with_arguments(lambda *a: attention(*a, repeated=repeat), lambda r, g: jax.vjp(backward, *r)[1](g))
    q, k = np.random.default_rng(1).standard_normal((2, 4, 5, 2)).astype(np.float32)
    report = verify.check(own, q, k[:1], k[1:2], checks=("contract", "gradient"))
    assert report.verdict == ("wrong" if wrong else "right"), report
