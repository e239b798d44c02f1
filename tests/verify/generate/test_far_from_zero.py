"""Numbers far from zero: a variance in one pass loses all digits there, one in two passes does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import one_in
from tests.verify.rules import LONG, joined

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(5)
CHECKS = ("contract", "gradient", "finite", "conditioning")


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def mean(a):
    return a.mean(-1, keepdims=True)


def two_passes(x):
    return mean((x - mean(x)) ** 2)


def one_pass(x):
    return mean(x * x) - mean(x) ** 2


def normalised(x):
    return (x - mean(x)) * jax.lax.rsqrt(two_passes(x) + 1e-5)


def normalised_bwd(r, g, *, wrong):
    (x,) = r
    scale = jax.lax.rsqrt((one_pass(x) if wrong else two_passes(x)) + 1e-5)
    y = (x - mean(x)) * scale
    return (scale * (g - mean(g) - y * mean(g * y)),)


def distances(x, y):
    return jnp.sqrt(((x[:, None] - y) ** 2).sum(-1) + 1e-6)


def distances_bwd(r, g, *, wrong):
    x, y = r
    squares = (x * x).sum(-1)[:, None] + (y * y).sum(-1) - 2 * x @ y.T
    apart = (x[:, None] - y) * (g / (jnp.sqrt(jnp.maximum(squares, 0) + 1e-6) if wrong else distances(x, y)))[..., None]
    return apart.sum(1), -apart.sum(0)


RULES = {
    "a variance": (normalised, normalised_bwd, normal(4, 8)),
    "a variance, positive numbers": (normalised, normalised_bwd, np.abs(normal(4, 8))),
    "distances, both arguments far from 0": (distances, distances_bwd, normal(4, 3), normal(5, 3)),
}


@pytest.mark.parametrize("fault", one_in(2, RULES))
def test_lost_digits_are_seen_and_named_and_the_right_twin_passes(fault):
    fun, bwd, *args = RULES[fault]
    report = verify.check(joined(fun, bwd, wrong=True), *args, checks=CHECKS, seconds=LONG)
    assert report.verdict == "wrong"
    assert "far from 0" in report.failures[0].case
    assert "E[x²] − E[x]²" in report.failures[0].cause
    report = verify.check(joined(fun, bwd, wrong=False), *args, checks=CHECKS, seconds=LONG)
    assert report.ok, report


def test_a_function_that_loses_as_much_itself_is_not_blamed_on_its_rule():
    def fast(x):
        return (x - mean(x)) * jax.lax.rsqrt(jnp.maximum(one_pass(x), 0) + 1e-5)

    report = verify.check(joined(fast, normalised_bwd, wrong=True), normal(4, 8), checks=CHECKS, seconds=LONG)
    assert report.ok, report


def test_numbers_within_an_interval_stay_there():
    within = RNG.uniform(-0.9, 0.9, (4, 8)).astype(np.float32)
    assert verify.check(joined(normalised, normalised_bwd, wrong=True), within, checks=CHECKS, seconds=LONG).ok
