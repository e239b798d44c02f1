"""Numbers that a function refuses, and calls without an oracle to say whether the truth is finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 3)).astype(np.float32)


def _refusing(a):
    if np.any(np.sum(np.abs(a), -1) == 0):
        raise ValueError("a row of zeros")
    return a


def checked(x):
    return jax.pure_callback(_refusing, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims")


def unit(x):
    x = checked(x)
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def unit_bwd(x, g):
    n = jnp.linalg.norm(checked(x), axis=-1, keepdims=True)
    return ((g - x * (g * x).sum(-1, keepdims=True) / n**2) / n,)


@pytest.mark.parametrize("value", [unit, lambda x: x / (1e-30 + jnp.linalg.norm(x, axis=-1, keepdims=True))])
def test_numbers_that_are_refused_are_no_fault(value):
    rule = jax.custom_vjp(lambda x: value(x))
    rule.defvjp(lambda x: (value(x), x), unit_bwd)
    report = verify.check(rule, X, cases=1, checks=("contract", "finite", "differences"))
    assert report.ok, report


def test_a_rule_that_raises_at_the_example_is_wrong():
    rule = jax.custom_vjp(lambda x: jnp.sin(x))
    rule.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (checked(0 * x) * g,))
    assert verify.check(rule, X, cases=0, checks=("contract", "finite")).verdict == "wrong"


def test_a_call_that_the_function_itself_refuses_cannot_be_checked():
    rule = jax.custom_vjp(lambda x: unit(x))
    rule.defvjp(lambda x: (unit(x), x), unit_bwd)
    report = verify.check(rule, np.zeros((4, 3), np.float32), cases=0, checks=("contract", "finite"))
    assert report.verdict == "could not be checked"
    assert report.because.startswith("the call itself fails")


def attention(q, k, wq, wk, wv):
    heads = [(x @ w).reshape(*x.shape[:-1], 2, 3) for x, w in ((q, wq), (k, wk), (k, wv))]
    logits = jnp.einsum("...thd,...Thd->...htT", *heads[:2]) / 3**0.5
    p = jax.nn.softmax(jnp.where(jnp.tri(4, dtype=bool), logits, -1e30))
    return jnp.einsum("...htT,...Thd->...thd", p, heads[2])


def test_an_overflow_of_one_compilation_alone_is_no_fault():
    """Logits of 1e16, computed twice in one fused program, are up to 1e9 above their maximum."""
    rng = np.random.default_rng(5)
    args = [rng.standard_normal(s).astype(np.float32) for s in ((2, 4, 6), (2, 4, 6), (6, 6), (6, 6), (6, 6))]
    report = verify.check(attention, *args, checks=("gradient", "finite"))
    assert report.ok, report


def angle(x, y):
    """By its cosine, which has lost all digits where the vectors are nearly parallel."""
    return jnp.arccos(jnp.minimum(x @ y / (jnp.linalg.norm(x) * jnp.linalg.norm(y)), 1))


def squared(x, y):
    return x * x * y


def squared_bwd(args, g):
    x, y = args
    digits = jnp.abs(x).max() < 1000
    return 2 * g * x * y / digits, g * x * x


def test_digits_that_the_function_itself_has_lost_are_asked_of_no_rule():
    rule = jax.custom_vjp(lambda x, y: squared(x, y))
    rule.defvjp(lambda *args: (squared(*args), args), squared_bwd)
    x, y = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    verdicts = [verify.check(f, x, y, checks=("gradient", "finite")).verdict for f in (angle, rule)]
    assert verdicts == ["right", "wrong"]
