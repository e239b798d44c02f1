import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.hard_swish)


HARD_SWISH = named("hard_swish")
AROUND_THE_KINKS = jnp.array([-4.0, -3.0, np.nextafter(-3, 0, dtype="float32"), 0.0, 3.0, 4.0])


def test_slope_at_both_kinks_is_that_of_the_outer_side():
    (x_bar,) = HARD_SWISH.backward(AROUND_THE_KINKS, y_bar=6)
    np.testing.assert_allclose(x_bar, [0, 0, -3, 3, 6, 6], rtol=1e-6)


def test_values_are_those_of_jax():
    np.testing.assert_allclose(purecnn.hard_swish(AROUND_THE_KINKS), jax.nn.hard_swish(AROUND_THE_KINKS), rtol=1e-6)


def test_nothing_overflows_far_out():
    x = jnp.array([-jnp.inf, -3e38, 3e38, jnp.inf])
    assert purecnn.hard_swish(x).tolist() == [0, 0, *x[2:].tolist()]
    assert HARD_SWISH.backward(x)[0].tolist() == [0, 0, 1, 1]


def test_keeps_its_input():
    x = jnp.ones(3)
    _, residuals = purecnn.hard_swish_fwd(x)
    assert [r is x for r in residuals] == [True]


def gate_taken_as_constant(residuals, y_bar):
    """x̄ = ȳ h(x)."""
    return (y_bar * jnp.clip(residuals[0] + 3, 0, 6) / 6,)


def not_cut_off_above(residuals, y_bar):
    (x,) = residuals
    return (jnp.where(x <= -3, 0.0, y_bar * (2 * x + 3) / 6),)


def line_not_halved(residuals, y_bar):
    """(x + 3) / 6 for (2x + 3) / 6: x² differentiated to x."""
    (x,) = residuals
    return (jnp.where(jnp.abs(x) < 3, y_bar * (x + 3) / 6, purecnn.hard_swish_bwd(residuals, y_bar)[0]),)


@pytest.mark.parametrize(
    "faulty", [gate_taken_as_constant, not_cut_off_above, line_not_halved, faulty_rules.cotangent_ignored(HARD_SWISH)]
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(HARD_SWISH, faulty)
