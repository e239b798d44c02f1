import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.silu)


SILU = named("silu")


def test_values_are_those_of_jax():
    x = jnp.linspace(-30, 30, 101)
    np.testing.assert_allclose(purecnn.silu(x), jax.nn.silu(x), rtol=1e-6)


def test_far_out_the_slope_is_zero_or_one():
    x = jnp.array([-3e38, -200.0, 200.0, 3e38])
    assert SILU.backward(x)[0].tolist() == [0, 0, 1, 1]


def test_keeps_its_input():
    x = jnp.ones(3)
    _, residuals = purecnn.silu_fwd(x)
    assert [r is x for r in residuals] == [True]


def gate_taken_as_constant(residuals, y_bar):
    """x̄ = ȳ σ(x)."""
    return (y_bar * jax.nn.sigmoid(residuals[0]),)


def sigmoid_of_the_output(residuals, y_bar):
    """y + σ(x) (1 − y) with σ(y) for σ(x)."""
    y = purecnn.silu(residuals[0])
    return (y_bar * (y + jax.nn.sigmoid(y) * (1 - y)),)


def product_rule_without_x(residuals, y_bar):
    """x forgotten in front of σ′."""
    s = jax.nn.sigmoid(residuals[0])
    return (y_bar * s * (1 + 1 - s),)


@pytest.mark.parametrize(
    "faulty",
    [gate_taken_as_constant, sigmoid_of_the_output, product_rule_without_x, faulty_rules.cotangent_ignored(SILU)],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(SILU, faulty)
