"""Faults that a sample of public bug reports showed to pass, or to be blamed on something else, each beside its right
twin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import one_in
from tests.verify.rules import LONG, assert_only_the_fault_is_seen, joined, with_arguments

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(7)
CHECKS = ("contract", "gradient", "finite", "conditioning")


def blended(alpha, color):
    """Colors along a ray: what hardly absorbs is skipped, and nothing absorbs all."""
    alpha = jnp.where(alpha < 1 / 255, 0, jnp.minimum(alpha, 0.99))
    passed = jnp.concatenate([jnp.ones(1, alpha.dtype), jnp.cumprod(1 - alpha)[:-1]])
    return (passed * alpha) @ color


def blended_bwd(r, g, *, wrong):
    alpha, color = r
    inside = (alpha >= 1 / 255) & (alpha < 0.99)
    a = jnp.where(alpha < 1 / 255, 0, jnp.minimum(alpha, 0.99))
    passed = jnp.concatenate([jnp.ones(1, a.dtype), jnp.cumprod(1 - a)[:-1]])
    weights, along = passed * a, color @ g
    behind = jnp.flip(jnp.cumsum(jnp.flip(weights * along))) - weights * along
    bar = passed * along - behind / (1 - a)
    return bar if wrong else jnp.where(inside, bar, 0), weights[:, None] * g


def log_cdf(x):
    return jax.scipy.special.log_ndtr(x)


def log_cdf_bwd(r, g, *, wrong):
    (x,) = r
    density = jnp.exp(-x * x / 2) / np.float32(np.sqrt(2 * np.pi))
    return (g * density / jax.scipy.special.ndtr(x) if wrong else jax.vjp(log_cdf, x)[1](g)[0],)


UNSEEN = {
    "a clamp at 0.99 and a threshold at 1/255": (
        *(blended, blended_bwd),
        RNG.uniform(0.05, 0.9, 6).astype(np.float32),
        RNG.standard_normal((6, 3)).astype(np.float32),
    ),
    "0/0 far below 0, five numbers between -1 and 1 in the example": (
        *(log_cdf, log_cdf_bwd),
        np.array([0.3, -0.7, 0.9, -0.2, 0.5], np.float32),
    ),
}


@pytest.mark.parametrize("fault", one_in(2, UNSEEN))
def test_is_seen_and_its_right_twin_passes(fault):
    assert_only_the_fault_is_seen(*UNSEEN[fault], checks=CHECKS)


def variation(x):
    return jnp.abs(jnp.diff(x, axis=1)).sum(1)


def variation_bwd(r, g, *, wrong):
    """`wrong` wraps around."""
    (x,) = r
    if wrong:
        sign = jnp.sign(jnp.roll(x, -1, 1) - x) * g[:, None]
        return (jnp.roll(sign, 1, 1) - sign,)
    sign = jnp.sign(jnp.diff(x, axis=1)) * g[:, None]
    return (jnp.pad(sign, ((0, 0), (1, 0))) - jnp.pad(sign, ((0, 0), (0, 1))),)


EXPLAINED = {
    "both ends": (variation, variation_bwd, "border", "the ends"),
    "a roll in the wrong direction": (
        *(lambda x: jnp.roll(x, 1, 1), lambda r, g, *, wrong: (jnp.roll(g, 1 if wrong else -1, 1),)),
        *("rolled by +2 along axis 1", "a shift in the wrong direction"),
    ),
}


@pytest.mark.parametrize("fault", EXPLAINED)
def test_is_explained_and_its_right_twin_passes(fault):
    fun, bwd, pattern, words = EXPLAINED[fault]
    x = RNG.standard_normal((3, 6)).astype(np.float32)
    (found,) = verify.check(joined(fun, bwd, wrong=True), x, checks=CHECKS, seconds=LONG).failures
    assert pattern in found.pattern, found
    assert words in found.cause, found
    assert verify.check(joined(fun, bwd, wrong=False), x, checks=CHECKS, seconds=LONG).ok


KEPT = {}


def test_a_residual_that_goes_through_a_global_is_named():
    def fwd(x):
        KEPT["x"] = x
        return jnp.sin(x), None

    rule = jax.custom_vjp(lambda x: jnp.sin(x))
    rule.defvjp(fwd, lambda _, g: (g * jnp.cos(KEPT["x"]),))
    x = RNG.standard_normal((3, 4)).astype(np.float32)
    (found,) = verify.check(rule, x, checks=("gradient", "transforms"), cases=0).failures
    assert "outside of the residuals" in found.cause, found
    right = with_arguments(lambda x: jnp.sin(x), lambda r, g: (g * jnp.cos(r[0]),))
    assert verify.check(right, x, checks=("gradient", "transforms"), cases=0).ok


def pooled(x, w, lengths):
    """The mean of the first rows of each sequence."""
    inside = jnp.arange(x.shape[1]) < lengths[:, None]
    return jnp.einsum("btc,cd,bt->bd", x, w, inside / inside.sum(1, keepdims=True))


def pooled_bwd(r, g, *, wrong):
    x, w, lengths = r
    inside = jnp.arange(x.shape[1]) < lengths[:, None]
    weights = inside / (x.shape[1] if wrong else lengths[:, None])
    return jnp.einsum("bd,cd,bt->btc", g, w, weights), jnp.einsum("btc,bd,bt->cd", x, g, weights), None


def test_no_sequence_is_longer_than_its_axis():
    x, w = RNG.standard_normal((3, 6, 4)).astype(np.float32), RNG.standard_normal((4, 4)).astype(np.float32)
    assert_only_the_fault_is_seen(pooled, pooled_bwd, x, w, np.array([6, 4, 5], np.int32), checks=CHECKS)


def with_constants(x):
    return jnp.sin(x), True, 0.5


def with_constants_bwd(r, g, *, wrong):
    return (g[0] * (jnp.sin(*r) if wrong else jnp.cos(*r)),)


def test_a_constant_may_be_among_the_outputs():
    """As the flag beside a factorisation is: `jax.checkpoint` gives it back as a Python number."""
    x = RNG.standard_normal(5).astype(np.float32)
    assert verify.check(with_constants, x, checks=("contract", "gradient", "transforms")).ok
    assert_only_the_fault_is_seen(with_constants, with_constants_bwd, x, checks=("contract", "gradient", "transforms"))
