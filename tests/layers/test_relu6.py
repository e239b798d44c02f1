import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.relu6)


RELU6 = named("relu6")
AROUND_THE_KINKS = jnp.array([-1.0, -0.0, 0.0, 1e-30, 3.0, np.nextafter(6, 0, dtype="float32"), 6.0, 7.0, jnp.inf])


def test_slope_at_both_kinks_is_zero():
    y, residuals = purecnn.relu6_fwd(AROUND_THE_KINKS)
    (x_bar,) = purecnn.relu6_bwd(residuals, jnp.full_like(y, 4))
    np.testing.assert_allclose(y, [0, 0, 0, 1e-30, 3, 6, 6, 6, 6])
    assert x_bar.tolist() == [0, 0, 0, 4, 4, 4, 0, 0, 0]


def test_values_are_those_of_jax():
    assert (purecnn.relu6(AROUND_THE_KINKS) == jax.nn.relu6(AROUND_THE_KINKS)).all()


def test_nan_passes_forward_and_gets_nothing_back():
    x = jnp.array([jnp.nan])
    assert np.isnan(purecnn.relu6(x))
    assert RELU6.backward(x)[0] == 0


def test_keeps_its_output_which_the_next_layer_keeps_too():
    y, (kept,) = purecnn.relu6_fwd(jnp.linspace(-1, 8, 20).reshape(4, 5))
    assert kept is y


def not_cut_off_above(residuals, y_bar):
    """ReLU's rule."""
    (y,) = residuals
    return (jnp.where(y > 0, y_bar, jnp.zeros_like(y_bar)),)


def bounds_counted_as_inside(residuals, y_bar):
    """0 ≤ y ≤ 6 is true everywhere."""
    (y,) = residuals
    return (jnp.where((y >= 0) & (y <= 6), y_bar, jnp.zeros_like(y_bar)),)


def cotangent_cut_off(residuals, y_bar):
    return (purecnn.relu6(y_bar),)


@pytest.mark.parametrize(
    "faulty", [not_cut_off_above, bounds_counted_as_inside, cotangent_cut_off, faulty_rules.cotangent_ignored(RELU6)]
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(RELU6, faulty)
