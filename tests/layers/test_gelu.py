import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.gelu)


TANH, EXACT = named("gelu-tanh"), named("gelu-exact")
BOTH = pytest.mark.parametrize("subject", [TANH, EXACT], ids=str)


@BOTH
def test_values_are_those_of_jax(subject):
    x = jnp.linspace(-4, 4, 101)
    np.testing.assert_allclose(subject.call(x), jax.nn.gelu(x, **{"approximate": True} | subject.options), atol=1e-6)


def test_of_one_exponential_the_exact_one_has_the_digits_of_float32():
    """Which the argument of the exponential has too, so that the last are lost where it is large."""
    x = np.linspace(-12.5, 12.5, 100_001, dtype="float32")
    wide = x.astype("float64")
    expected = wide * special.ndtr(wide)
    error = np.abs(EXACT.call(jnp.asarray(x)) - expected) / np.abs(np.where(wide == 0, 1, expected))
    assert error[np.abs(x) < 5].max() < 1e-6  # erfc: 1.6e-6
    assert error.max() < 5e-6


def test_far_below_zero_the_digits_are_kept():
    """½ (1 + erf) and ½ (1 + tanh) in float32 have none left at −6."""
    x = np.array([-12.0, -6.0, -5.0])
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    narrow = jnp.asarray(x, "float32")
    np.testing.assert_allclose(EXACT.call(narrow), x * special.ndtr(x), rtol=2e-5)
    np.testing.assert_allclose(EXACT.backward(narrow)[0], special.ndtr(x) + x * density, rtol=2e-5)
    u = 2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    np.testing.assert_allclose(TANH.call(narrow)[1:], (x * special.expit(u))[1:], rtol=2e-5)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("rule", [purecnn.gelu, purecnn.silu, purecnn.sigmoid, purecnn.tanh], ids=lambda r: r.__name__)
def test_second_derivatives_at_zero_and_on_both_sides_of_it_are_those_of_jax(rule):
    """Where the slope is computed at −|x|, whose derivative JAX takes to be 0 at 0."""
    function = jnp.tanh if rule is purecnn.tanh else getattr(jax.nn, rule.__name__)
    x = jnp.array([-2.0, -1e-9, 0.0, 1e-9, 2.0])
    expected = jax.vmap(jax.grad(jax.grad(function)))(x)
    np.testing.assert_allclose(jax.vmap(jax.grad(jax.grad(rule)))(x), expected, atol=1e-12)


def test_the_slope_is_right_to_the_last_digits_on_both_sides():
    x = np.linspace(-5, 5, 401).astype("float32")
    wide = x.astype("float64")
    v = 2 * np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)
    gate, slope_of_v = special.expit(v), 2 * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * wide**2)
    expected = gate * (1 + wide * special.expit(-v) * slope_of_v)
    np.testing.assert_allclose(TANH.backward(jnp.asarray(x))[0], expected, rtol=0, atol=3e-7)  # 1 − σ at 5: 2e-6


@BOTH
def test_far_out_the_slope_is_zero_or_one(subject):
    """x² and x³ overflow there."""
    x = jnp.array([-jnp.inf, -3e38, -1e20, 1e20, 3e38, jnp.inf])
    assert subject.backward(x)[0].tolist() == [0, 0, 0, 1, 1, 1]
    assert subject.call(x[1:]).tolist() == [0, 0, *x[3:].tolist()]


@BOTH
def test_keeps_its_input(subject):
    x = jnp.ones(3)
    _, residuals = subject.fwd(x, **subject.options)
    assert [r is x for r in residuals] == [True]


def gate_taken_as_constant(residuals, y_bar, *, approximate=True):
    """x̄ = ȳ Φ(x): the factor alone."""
    (x,) = residuals
    return (y_bar * purecnn.gelu(x, approximate=approximate) / x,)


def density_not_normalised(residuals, y_bar, *, approximate=True):
    (x,) = residuals
    (x_bar,) = purecnn.gelu_bwd(residuals, y_bar, approximate=approximate)
    return (x_bar + y_bar * x * jnp.exp(-x * x / 2) * (1 - 1 / jnp.sqrt(2 * jnp.pi)),)


def derivative_of_the_other_form(residuals, y_bar, *, approximate=True):
    """Off by at most 1e-3."""
    return purecnn.gelu_bwd(residuals, y_bar, approximate=not approximate)


@BOTH
@pytest.mark.parametrize("faulty", [gate_taken_as_constant, density_not_normalised, derivative_of_the_other_form])
def test_faulty_rules_are_rejected(subject, faulty):
    assert_rejected(subject, faulty)


def test_a_rule_that_ignores_its_cotangent_is_rejected():
    assert_rejected(TANH, faulty_rules.cotangent_ignored(TANH))
