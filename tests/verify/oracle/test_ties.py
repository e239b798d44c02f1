"""What an order statistic gives to numbers that tie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import SLOPES, with_arguments

X = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)


def median(x):
    return jnp.sort(x, -1)[..., x.shape[-1] // 2]


def rule(weights):
    def bwd(r, g):
        tied = (r[0] == median(r[0])[..., None]).astype(g.dtype)
        return (g[..., None] * weights(tied),)

    return with_arguments(median, bwd)


def shared(tied):
    return tied / tied.sum(-1, keepdims=True)


def first(tied):
    return jnp.where(jnp.cumsum(tied, -1) == 1, tied, 0)


def every(tied):
    return tied


def one_too_far(tied):
    return jnp.roll(first(tied), 1, -1)


@pytest.mark.parametrize(
    ("weights", "verdict"), [(shared, "right"), (first, "right"), (every, "wrong"), (one_too_far, "wrong")]
)
def test_a_median_may_share_its_cotangent_among_ties(weights, verdict):
    report = verify.check(rule(weights), X, checks=SLOPES)
    assert report.verdict == verdict, report


@pytest.mark.parametrize("factor", [1, 1.001])
def test_the_largest_may_be_returned_in_another_order(factor):
    def bwd(r, g):
        order = jnp.argsort(r[0][:, ::-1], -1)[:, ::-1][:, :2]
        return (jax.vmap(lambda o, g: jnp.zeros(r[0].shape[1]).at[o].add(factor * g))(r[0].shape[1] - 1 - order, g),)

    report = verify.check(with_arguments(lambda x: jax.lax.top_k(x, 2)[0], bwd), X, checks=SLOPES)
    assert report.ok is (factor == 1), report
