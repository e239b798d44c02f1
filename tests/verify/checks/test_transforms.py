"""What raises under a transformation is the rule's fault only where the function without it does not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

RNG = np.random.default_rng(0)
CHECKS = ("gradient", "transforms")


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def test_a_primitive_that_jax_cannot_batch_is_a_note():
    sizes = np.array([2, 3, 1], np.int32)
    report = verify.check(lambda x, w: jax.lax.ragged_dot(x, w, sizes), normal(6, 4), normal(3, 4, 5), cases=0)
    assert report.ok, report
    assert any("and so does the function without it" in n for n in report.notes), report


def test_a_rule_that_cannot_be_batched_is_wrong():
    def insists(x, g):
        if isinstance(x, jax.core.Tracer) and "Batch" in type(x).__name__:
            raise NotImplementedError("no batch of these")
        return (g * jnp.cos(x),)

    rule = jax.custom_vjp(lambda x: jnp.sin(x))
    rule.defvjp(lambda x: (jnp.sin(x), x), insists)
    assert verify.check(rule, normal(3, 4), cases=0, checks=CHECKS).verdict == "wrong"


def test_a_key_among_nondiff_argnums_is_a_constant():
    @functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
    def noisy(x, key):
        return x * jax.random.normal(key, x.shape)

    @noisy.defjvp
    def _(key, primals, tangents):
        return noisy(*primals, key), tangents[0] * jax.random.normal(key, primals[0].shape)

    report = verify.check(noisy, normal(3, 4), jax.random.key(0), cases=0, checks=CHECKS)
    assert report.ok, report


def test_a_key_among_nondiff_argnums_beside_a_dtype_by_name():
    """Neither a key that a loop carries nor float64 in the place of float32 is taken by it."""

    @functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
    def noisy(x, key):
        return (x * jax.random.normal(key, x.shape)).astype(np.float32)

    @noisy.defjvp
    def _(key, primals, tangents):
        return noisy(*primals, key), tangents[0] * jax.random.normal(key, primals[0].shape)

    report = verify.check(noisy, normal(3, 4), jax.random.PRNGKey(0), cases=0, checks=("contract", "transforms"))
    assert not report.failures, report


def test_what_does_not_run_in_float64_alone_is_a_note():
    def insists(x, g):
        if isinstance(x, jax.core.Tracer) and "Batch" in type(x).__name__ and x.dtype == np.float64:
            raise NotImplementedError("no batch of these")
        return (g * jnp.cos(x),)

    rule = jax.custom_vjp(lambda x: jnp.sin(x))
    rule.defvjp(lambda x: (jnp.sin(x), x), insists)
    report = verify.check(rule, normal(3, 4), cases=0, checks=CHECKS)
    assert report.ok, report
    assert any("in float64 alone" in n for n in report.notes), report


@pytest.mark.parametrize("turned", [True, False])
def test_values_are_compared_under_vmap_too(turned):
    @jax.custom_batching.custom_vmap
    def sine(x):
        return jnp.sin(x)

    @sine.def_vmap
    def _(size, batched, x):
        return (jnp.sin(x)[::-1] if turned else jnp.sin(x)), True

    rule = jax.custom_vjp(lambda x: sine(x))
    rule.defvjp(lambda x: (sine(x), x), lambda x, g: (g * jnp.cos(x),))
    report = verify.check(rule, normal(5), cases=0, reference=jnp.sin, checks=("gradient", "transforms"))
    assert report.ok is not turned, report
    assert [(f.check, f.argument) for f in report.failures] == ([("transforms", "output")] if turned else [])


@pytest.mark.parametrize(("off", "verdict"), [(1e-8, "right"), (1e-5, "wrong")])
def test_what_the_dtype_cannot_tell_apart_under_vmap_is_a_note(off, verdict):
    """A primitive's own rule for `vmap` may go by a formula whose constants have as many digits as the dtype."""

    def other_digits(x, g):
        batched = isinstance(x, jax.core.Tracer) and "Batch" in type(x).__name__
        return (g * jnp.cos(x) * (1 + off if batched else 1),)

    rule = jax.custom_vjp(lambda x: jnp.sin(x))
    rule.defvjp(lambda x: (jnp.sin(x), x), other_digits)
    report = verify.check(rule, normal(3, 4), cases=0, checks=CHECKS)
    assert report.verdict == verdict, report
    assert verdict == "wrong" or any("beyond float32" in n for n in report.notes), report


@pytest.mark.parametrize("wrong", [False, True])
def test_an_argument_that_wins_no_maximum_in_the_example_has_the_rounding_of_the_rows_in_which_it_does(wrong):
    """x·w lies below c everywhere, and above it at half of the places where c is reversed, in sums of 64 numbers."""
    x = np.abs(normal(64))
    w = np.abs(normal(64, 64))
    w *= np.tile([3, 0.5], 32) / (x @ w)
    c = np.tile([5, 1], 32)

    @jax.custom_vjp
    def larger(c, x, w):
        return jnp.maximum(c, x @ w)

    def backward(args, g):
        c, x, w = args
        to_x = jnp.where(c < x @ w, g, 0)
        batched = wrong and isinstance(g, jax.core.Tracer) and "Batch" in type(g).__name__
        return jnp.where(c < x @ w, 0, g), w @ to_x * (1.01 if batched else 1), jnp.outer(x, to_x)

    larger.defvjp(lambda *args: (larger(*args), args), backward)
    args = [a.astype(np.float32) for a in (c, x, w)]
    report = verify.check(larger, *args, cases=0, checks=CHECKS)
    assert report.ok != wrong, report
