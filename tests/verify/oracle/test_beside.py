"""The limits of autodiff beside a point."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import assert_only_the_fault_is_seen

pytestmark = pytest.mark.usefixtures("a_users_jax")


@pytest.mark.parametrize("wrong", [True, False])
def test_equal_numbers_may_be_pooled(wrong):
    """Isotonic regression of equal numbers: its derivative where they are out of order is that of their mean, and lies
    between no slopes of one number alone."""

    def isotonic(x):
        sums, at = jnp.concatenate([jnp.zeros(1, x.dtype), jnp.cumsum(x)]), jnp.arange(len(x))
        means = (sums[None, 1:] - sums[:-1, None]) / jnp.maximum(at - at[:, None] + 1, 1)
        highest = jax.lax.cummax(jnp.where(at >= at[:, None], means, -jnp.inf), axis=1, reverse=True)
        return jnp.where(at >= at[:, None], highest, jnp.inf).min(0)

    def bwd(y, g):
        pool = jnp.cumsum(jnp.concatenate([jnp.zeros(1, bool), y[1:] != y[:-1]]))
        total, count = (jax.ops.segment_sum(a, pool, len(y)) for a in (g, jnp.ones_like(g)))
        return ((total / (1 if wrong else jnp.maximum(count, 1)))[pool],)

    rule = jax.custom_vjp(isotonic)
    rule.defvjp(lambda x: (isotonic(x), isotonic(x)), bwd)
    x = np.random.default_rng(0).standard_normal(10).astype(np.float32)
    report = verify.check(rule, x, checks=("gradient",))
    assert report.verdict == ("wrong" if wrong else "right"), report


def test_experts_may_be_chosen_by_logits_that_tie_as_probabilities():
    """`top_k` tells -0 from 0 and one subnormal number from another, and their softmax does not."""

    def balance(x, k=2):
        p = jax.nn.softmax(x)
        return (shares(p, k) * p.mean(0)).sum() * p.shape[1]

    def shares(x, k):
        return jax.nn.one_hot(jax.lax.top_k(x, k)[1], x.shape[1], dtype=x.dtype).sum((0, 1)) / (len(x) * k)

    def bwd(r, g, *, wrong, k=2):
        (x,) = r
        p = jax.nn.softmax(x)
        bar = g * shares(x, k) * p.shape[1] / (1 if wrong else len(x))
        return (p * (bar - (p * bar).sum(1, keepdims=True)),)

    x = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    assert_only_the_fault_is_seen(balance, bwd, x, checks=("gradient",))


def test_multiples_of_numbers_that_tie_at_zero_win_where_others_are_much_larger():
    def between(a, b, c):
        return jnp.maximum(jnp.minimum(0.3 * a, b), c * jnp.round(c + 0.25))

    @jax.custom_vjp
    def rule(a, b, c):
        return between(a, b, c)

    rule.defvjp(lambda *args: (rule(*args), args), lambda args, g: jax.vjp(between, *args)[1](g))
    args = np.random.default_rng(0).standard_normal((3, 4, 6)).astype(np.float32)
    report = verify.check(rule, *args, checks=("gradient",))
    assert report.ok, report
