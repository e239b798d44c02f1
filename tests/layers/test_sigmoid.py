import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.sigmoid)


SIGMOID = named("sigmoid")


def test_saturated_ends_keep_their_digits():
    """The derivative at ±30 is e^−30; formed as y (1 − y) in float32 it would be 0 on the right."""
    x = jnp.array([-80.0, -30.0, 17.0, 30.0, 80.0])
    (x_bar,) = SIGMOID.backward(x)
    wide = np.asarray(x, np.float64)
    np.testing.assert_allclose(purecnn.sigmoid(x), special.expit(wide), rtol=1e-6)
    np.testing.assert_allclose(x_bar, special.expit(wide) * special.expit(-wide), rtol=1e-5)
    assert (x_bar > 0).all()


def test_nothing_overflows_far_out():
    x = jnp.array([-jnp.inf, -1e4, 1e4, jnp.inf])
    assert purecnn.sigmoid(x).tolist() == [0, 0, 1, 1]
    assert SIGMOID.backward(x)[0].tolist() == [0, 0, 0, 0]


def test_keeps_its_input():
    x = jnp.ones(3)
    _, residuals = purecnn.sigmoid_fwd(x)
    assert [r is x for r in residuals] == [True]


def derivative_taken_at_the_output(residuals, y_bar):
    """σ′(σ(x)): y in the place of x."""
    return purecnn.sigmoid_bwd((purecnn.sigmoid(residuals[0]),), y_bar)


def chain_rule_forgotten(residuals, y_bar):
    return (y_bar * purecnn.sigmoid(residuals[0]),)


def square_instead_of_product(residuals, y_bar):
    y = purecnn.sigmoid(residuals[0])
    return (y_bar * (1 - y * y),)  # tanh's


@pytest.mark.parametrize(
    "faulty",
    [
        derivative_taken_at_the_output,
        chain_rule_forgotten,
        square_instead_of_product,
        faulty_rules.cotangent_ignored(SIGMOID),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(SIGMOID, faulty)
