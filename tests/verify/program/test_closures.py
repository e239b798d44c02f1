"""Rules that close over values of the program are checked with those values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.program.closures import closed_over, replaced
from verify.program.records import recorded

X = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)


def scaled(slope):
    def program(x, scale):
        @jax.custom_vjp
        def rule(x):
            return x * scale

        def forward(x):
            return rule(x), None  # a forward rule that calls the rule itself

        rule.defvjp(forward, lambda _, g: (slope * g * scale,))
        return rule(x)

    return program


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, lambda f: jax.jit(jax.grad(lambda x, s: f(x, s).sum()))])
def test_the_value_of_the_program_is_put_back(wrap):
    (record,) = recorded(wrap(scaled(1.0)), X, jnp.float32(3))
    np.testing.assert_array_equal(record.concrete(X), 3 * X)
    for slope, verdict in ((1.0, "right"), (0.5, "wrong")):
        (report,) = verify.check_all(wrap(scaled(slope)), X, jnp.float32(3), cases=0)
        assert report.verdict == verdict, report


def test_a_random_key_closed_over():
    def program(x, key):
        rule = jax.custom_vjp(lambda x: x * jax.random.normal(key, x.shape))
        rule.defvjp(lambda x: (rule(x), None), lambda _, g: (g * jax.random.normal(key, g.shape),))
        return rule(x)

    (record,) = recorded(jax.jit(program), X, jax.random.key(7))
    np.testing.assert_array_equal(record.concrete(X), X * jax.random.normal(jax.random.key(7), X.shape))


def test_the_original_keeps_its_own_and_nothing_else_changes():
    one, two = jnp.ones(3), jnp.full(3, 2.0)

    def inner(x, *, factor=1.0):
        return x + one * factor

    def fun(x):
        return inner(x) + inner(x, factor=2.0)

    assert [a is one for a in closed_over(fun)] == [True]
    other = replaced(fun, {id(one): two})
    np.testing.assert_array_equal(other(0.0), 3 * two)
    np.testing.assert_array_equal(fun(0.0), 3 * one)
