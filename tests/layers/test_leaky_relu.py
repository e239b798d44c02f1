import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.leaky_relu)


LEAKY_RELU = named("leaky_relu")
AROUND_ZERO = jnp.array([-1.0, -0.0, 0.0, 1.0, jnp.inf])


@pytest.mark.parametrize("slope", [0.0, 0.25, -0.5])
def test_slope_at_either_zero_is_the_one_below(slope):
    (x_bar,) = LEAKY_RELU.backward(AROUND_ZERO, y_bar=4, negative_slope=slope)
    assert x_bar.tolist() == [4 * slope] * 3 + [4, 4]


def test_slope_zero_is_relu():
    assert (purecnn.leaky_relu(AROUND_ZERO, negative_slope=0.0) == purecnn.relu(AROUND_ZERO)).all()


def test_values_are_those_of_jax():
    x = jnp.linspace(-3, 3, 20)
    np.testing.assert_allclose(purecnn.leaky_relu(x), jax.nn.leaky_relu(x), rtol=1e-6)


def test_sixteen_bits_round_the_product_and_not_the_slope():
    x = -jnp.arange(1, 200).astype("bfloat16")
    exact = (x.astype("float32") * 0.01).astype("bfloat16")
    assert (purecnn.leaky_relu(x) == exact).all()
    assert (x * jnp.bfloat16(0.01) != exact).any()


def test_keeps_its_output_which_the_next_layer_keeps_too():
    """For a negative slope y is not enough: both sides are positive."""
    x = jnp.linspace(-1, 1, 20).reshape(4, 5)
    y, (kept,) = purecnn.leaky_relu_fwd(x)
    assert kept is y
    _, (kept,) = purecnn.leaky_relu_fwd(x, negative_slope=-0.5)
    assert kept is x


def nothing_below_zero(residuals, y_bar, *, negative_slope=0.01):
    """ReLU's rule."""
    return (jnp.where(residuals[0] > 0, y_bar, 0.0),)


def slope_applied_twice(residuals, y_bar, *, negative_slope=0.01):
    (y,) = residuals
    return (jnp.where(y > 0, y_bar, y_bar * negative_slope**2),)


def default_slope(residuals, y_bar, *, negative_slope=0.01):
    return purecnn.leaky_relu_bwd(residuals, y_bar)


def sides_swapped(residuals, y_bar, *, negative_slope=0.01):
    return purecnn.leaky_relu_bwd((-residuals[0],), y_bar, negative_slope=negative_slope)


@pytest.mark.parametrize(
    "faulty",
    [
        nothing_below_zero,
        slope_applied_twice,
        default_slope,
        sides_swapped,
        faulty_rules.cotangent_ignored(LEAKY_RELU),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(LEAKY_RELU, faulty)
