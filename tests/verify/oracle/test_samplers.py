"""A sampler that rejects: its derivative is that of the distribution, and no draw's slope."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

X = np.random.default_rng(0).uniform(0.5, 2.0, 6).astype(np.float32)


def drawn(scale, key):
    """Half a normal number of this scale, by rejection from an exponential one."""

    def step(state):
        key, value, done = state
        key, first, second = jax.random.split(key, 3)
        proposed = scale * jax.random.exponential(first, scale.shape, scale.dtype)
        accepted = jax.random.uniform(second, scale.shape) < jnp.exp(-0.5 * (proposed / scale - 1) ** 2)
        return key, jnp.where(done, value, proposed), done | accepted

    start = (key, jnp.zeros_like(scale), jnp.zeros(scale.shape, bool))
    return jax.lax.while_loop(lambda state: ~jnp.all(state[2]), step, start)[1]


def sampler(share=1.0):
    rule = jax.custom_jvp(drawn)

    @rule.defjvp
    def _(primals, tangents):
        value = rule(*primals)
        return value, share * value / primals[0] * tangents[0]

    return lambda scale: rule(scale, jax.random.key(0))


def test_its_derivative_is_not_called_wrong_by_the_slope_of_a_draw():
    asked = ("contract", "linearity", "forward", "adjoint", "pushforward", "differences")
    report = verify.check(sampler(0.7), X, cases=0, checks=asked)
    assert report.verdict == "could not be checked", report
    assert any("draws until it accepts" in o.reason for o in report.outcomes)


@pytest.mark.slow
def test_with_a_reference_it_is_checked():
    reference = sampler()
    half = jax.custom_jvp(lambda scale: reference(scale))
    half.defjvp(lambda p, t: (reference(*p), 0.5 * reference(*p) / p[0] * t[0]))
    assert verify.check(sampler(), X, reference=reference, cases=0, checks=("gradient",)).ok
    assert verify.check(half, X, reference=reference, cases=0, checks=("gradient",)).verdict == "wrong"


def test_a_loop_that_autodiff_passes_only_because_it_is_held_is_no_oracle():
    def mixed(scale, key):
        return drawn(jax.lax.stop_gradient(scale), key) + 0.1 * scale

    rule = jax.custom_vjp(lambda scale: mixed(scale, jax.random.key(0)))
    rule.defvjp(lambda scale: (rule(scale), (rule(scale), scale)), lambda r, g: (g * (0.1 + (r[0] / r[1] - 0.1)),))
    report = verify.check(rule, X, cases=0, checks=("gradient", "conditioning", "low precision"))
    assert report.verdict == "could not be checked", report


def test_where_no_oracle_knows_the_derivative_of_a_draw_nan_on_generated_numbers_is_a_note():
    rule = jax.custom_jvp(lambda scale: drawn(scale, jax.random.key(0)))

    @rule.defjvp
    def _(primals, tangents):
        tiny = primals[0] < 0.01 * jnp.max(primals[0])
        return rule(*primals), jnp.where(tiny, jnp.nan, rule(*primals) / primals[0]) * tangents[0]

    report = verify.check(rule, X, cases=1, checks=("gradient", "finite", "differences"))
    assert report.verdict == "could not be checked", report


def mixed(scale, key):
    """Of two exponential draws the one that a probability of `scale` says."""
    first, second = jax.random.exponential(key, (2, *scale.shape), scale.dtype)
    return jnp.where(jax.random.uniform(key, scale.shape) < scale / 3, scale * first, scale**2 * second)


def dropped(x, rate, key):
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def with_slope(fun, slope):
    rule = jax.custom_vjp(fun)
    rule.defvjp(lambda *args: (fun(*args), args), slope)
    return rule


def test_a_choice_by_a_probability_of_the_argument_is_one_too():
    rule = with_slope(mixed, lambda r, g: (g * 0.7 * mixed(*r) / r[0], None))
    report = verify.check(rule, X, jax.random.key(1), cases=0)
    assert (
        report.because == "the function takes one of two draws: its derivative is that of the distribution, "
        "not of one draw"
    ), report


@pytest.mark.parametrize("wrong", [True, False])
def test_a_mask_of_dropout_is_no_such_choice(wrong):
    def bwd(r, g):
        (x, rate, _), kept = r, dropped(jnp.ones_like(r[0]), *r[1:])
        return g * kept * (0.5 if wrong else 1), (g * kept * x).sum() / (1 - rate), None

    key, rate = jax.random.key(2), np.float32(0.3)
    report = verify.check(with_slope(dropped, bwd), X, rate, key, cases=0, checks=("gradient",))
    assert report.verdict == ("wrong" if wrong else "right"), report


@pytest.mark.parametrize("wrong", [True, False])
def test_a_loop_that_draws_and_ends_without_chance_is_judged(wrong):
    """A path that is refined between two times until these are close."""

    def path(x, key):
        def halved(state):
            low, high, key, value = state
            key, here = jax.random.split(key)
            return (low + high) / 2, high, key, value + (high - low) * jnp.sin(x) * jax.random.normal(here)

        start = (0.0, 1.0, key, x)
        return jax.lax.while_loop(lambda s: (s[1] - s[0] > 1e-2) & (s[0] < s[1]), halved, start)[3]

    def bwd(r, g):
        def tangent(x):
            return jax.jvp(lambda x: path(x, r[1]), (x,), (jnp.ones_like(x),))[1]

        return g * tangent(r[0]) * (2 if wrong else 1), None

    report = verify.check(with_slope(path, bwd), X, jax.random.key(0), cases=0, checks=("adjoint", "differences"))
    assert report.verdict == ("wrong" if wrong else "right"), report


def test_no_number_of_a_draw_far_from_the_example_is_a_note():
    """Autodiff reaches through a fixed number of tries, and is none of the draw's derivatives."""

    def tries(scale, key):
        def one(state, key):
            value, done = state
            proposed = scale * jax.random.exponential(key, scale.shape, scale.dtype)
            accepted = jax.random.uniform(key, scale.shape) < jnp.exp(-proposed / scale)
            return (jnp.where(done, value, proposed), done | accepted), None

        start = (scale, jnp.zeros(scale.shape, bool))
        return jax.lax.scan(one, start, jax.random.split(key, 8))[0][0]

    far = 1.2 * float(X.max())
    rule = with_slope(tries, lambda r, g: (g * jnp.where(r[0] > far, jnp.nan, tries(*r) / r[0]), None))
    report = verify.check(rule, X, jax.random.key(0), cases=8, checks=("finite",))
    assert not report.failures, report
    assert any("not finite" in note for note in report.notes)
