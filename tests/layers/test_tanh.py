import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.tanh)


TANH = named("tanh")


def test_saturated_ends_keep_their_digits():
    """The derivative at ±12 is 1.5e−10; formed as 1 − y² in float32 it would be 0."""
    x = np.array([-40.0, -12.0, 0.0, 9.5, 12.0, 40.0])
    (x_bar,) = TANH.backward(jnp.asarray(x, "float32"))
    np.testing.assert_allclose(x_bar, np.cosh(x) ** -2, rtol=1e-5)
    assert (x_bar > 0).all()


def test_nothing_overflows_far_out():
    x = jnp.array([-jnp.inf, -1e38, 1e38, jnp.inf])
    assert purecnn.tanh(x).tolist() == jnp.tanh(x).tolist() == [-1, -1, 1, 1]
    assert TANH.backward(x)[0].tolist() == [0, 0, 0, 0]


def test_keeps_its_input():
    x = jnp.ones(3)
    _, residuals = purecnn.tanh_fwd(x)
    assert [r is x for r in residuals] == [True]


def derivative_taken_at_the_output(residuals, y_bar):
    """tanh′(tanh x): y in the place of x."""
    return purecnn.tanh_bwd((purecnn.tanh(residuals[0]),), y_bar)


def sigmoids_rule(residuals, y_bar):
    y = purecnn.tanh(residuals[0])
    return (y_bar * y * (1 - y),)


def square_forgotten(residuals, y_bar):
    return (y_bar * (1 - jnp.abs(purecnn.tanh(residuals[0]))),)


@pytest.mark.parametrize(
    "faulty", [derivative_taken_at_the_output, sigmoids_rule, square_forgotten, faulty_rules.cotangent_ignored(TANH)]
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(TANH, faulty)
