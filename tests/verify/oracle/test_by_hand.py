"""Functions without a rule of their own, whose formula loses in float32 what the true derivative has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

pytestmark = pytest.mark.usefixtures("a_users_jax")
X = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)


def gompertz(x):
    """Its autodiff is ∞ · 0 far out; JAX's own rule for ReLU is none of the user's."""
    return jax.nn.relu(1 - jnp.exp(-jnp.expm1(x)))


def half_chord(x):
    """The cosine of a small angle is 1 in float32, and the root's slope there is ∞."""
    return jnp.sqrt(1 - jnp.cos(x / 30))


def far_tail(x):
    """JAX's rule for it takes exp(-z² / 2 - log Φ(z)), two numbers that cancel."""
    return jax.scipy.special.log_ndtr(-x * x)


def test_the_digits_that_a_rule_of_jax_loses_in_float32_are_no_fault():
    x = np.array([2.0, 1.5, -1.0, 0.7], np.float32)
    assert verify.check(far_tail, x, checks=("gradient", "finite", "conditioning")).ok


def test_nor_is_a_draw_of_jax_whose_float64_is_another():
    def drawn(low, key):
        return jax.random.truncated_normal(key, low, low + 2)

    low = np.random.default_rng(2).standard_normal(4).astype(np.float32)
    assert verify.check(drawn, low, jax.random.key(0), cases=0, checks=("gradient",)).ok


@pytest.mark.parametrize("function", [gompertz, half_chord])
def test_what_autodiff_itself_loses_is_a_note_and_a_fault_of_a_rule(function):
    rule = jax.custom_vjp(lambda x: function(x))
    rule.defvjp(lambda x: (function(x), x), lambda x, g: jax.vjp(function, x)[1](g))
    asked = ("gradient", "finite", "conditioning")
    reports = [verify.check(f, X, checks=asked) for f in (function, rule)]
    assert [r.verdict for r in reports] == ["right", "wrong"], reports[0]
    assert any("not finite" in note for note in reports[0].notes)


def test_a_rule_of_ones_own_for_a_function_of_jax_is_none_of_jax():
    """The quotient of two infinite exponentials."""

    def slope(x):
        return 1 - (jnp.expm1(2 * x) / (jnp.exp(2 * x) + 1)) ** 2

    backward = jax.custom_vjp(jnp.tanh)
    backward.defvjp(lambda x: (jnp.tanh(x), x), lambda x, g: (g * slope(x),))
    forward = jax.custom_jvp(jnp.tanh)
    forward.defjvp(lambda p, t: (jnp.tanh(*p), slope(*p) * t[0]))
    by_argument = jax.custom_jvp(jnp.tanh)
    by_argument.defjvps(lambda t, y, x: slope(x) * t)
    for rule in (backward, forward, by_argument):
        assert verify.check(rule, X, checks=("finite",)).failures, rule
    assert not verify.check(jax.nn.relu, X, checks=("finite",)).failures
