import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.dropout)


DROPOUT = named("dropout")
KEY = jax.random.key(0)
ONES = jnp.ones(4000)  # of one size and rate wherever possible: each draws by a program of its own


def test_survivors_are_scaled_and_about_as_many_as_asked():
    y = purecnn.dropout(ONES, KEY, 0.2)
    assert set(np.unique(y).tolist()) == {0.0, 1.25}
    assert abs(float((y == 0).mean()) - 0.2) < 0.02


def test_same_key_same_mask_another_key_another():
    assert (purecnn.dropout(ONES, KEY, 0.2) == purecnn.dropout(ONES, KEY, 0.2)).all()
    assert (purecnn.dropout(ONES, KEY, 0.2) != purecnn.dropout(ONES, jax.random.key(1), 0.2)).any()


def test_same_key_same_mask_in_float64():
    narrow = purecnn.dropout(ONES, KEY, 0.2)
    with jax.enable_x64(True):
        wide = np.asarray(purecnn.dropout(jnp.ones(4000), KEY, 0.2))
    assert wide.dtype == np.float64
    assert ((np.asarray(narrow) == 0) == (wide == 0)).all()


def test_rate_zero_is_the_identity():
    x = jnp.arange(5.0)
    assert (purecnn.dropout(x, KEY, 0.0) == x).all()


def test_cotangent_goes_where_the_value_came_from():
    y, residuals = purecnn.dropout_fwd(ONES, KEY, 0.2)
    x_bar, key_bar = purecnn.dropout_bwd(residuals, 4 * ONES, 0.2)
    assert ((x_bar == 5) == (y != 0)).all()
    assert ((x_bar == 0) == (y == 0)).all()
    assert key_bar is None


def test_a_dropped_infinity_is_gone():
    y, residuals = purecnn.dropout_fwd(jnp.inf * ONES, KEY, 0.2)
    x_bar, _ = purecnn.dropout_bwd(residuals, jnp.inf * ONES, 0.2)
    assert set(np.unique(y).tolist()) == set(np.unique(x_bar).tolist()) == {0.0, np.inf}


def test_keeps_one_byte_an_entry():
    _, (mask,) = jax.eval_shape(lambda x: purecnn.dropout_fwd(x, KEY, 0.2), ONES)
    assert (mask.shape, mask.dtype) == (ONES.shape, bool)


def drawn_anew(residuals, y_bar, rate):
    (mask,) = residuals
    return purecnn.dropout_bwd((jax.random.bernoulli(KEY, jnp.float32(1 - rate), mask.shape),), y_bar, rate)


def not_scaled(residuals, y_bar, rate):
    (mask,) = residuals
    return jnp.where(mask, y_bar, 0.0), None


def mask_inverted(residuals, y_bar, rate):
    return purecnn.dropout_bwd((~residuals[0],), y_bar, rate)


@pytest.mark.parametrize("faulty", [drawn_anew, not_scaled, mask_inverted, faulty_rules.cotangent_ignored(DROPOUT)])
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(DROPOUT, faulty)


def test_sixteen_bits_do_not_round_the_scale():
    """Every survivor would be off by the same: 1/0.9 is 1.1111, and 1.1130 with 0.9 in bfloat16."""
    x = jnp.arange(1, 2000).astype("bfloat16")
    for rate in (0.1, jnp.float32(0.1)):
        y, residuals = purecnn.dropout_fwd(x, KEY, rate)
        x_bar, _ = purecnn.dropout_bwd(residuals, x, rate)
        exact = jnp.where(y != 0, x.astype("float32") / 0.9, 0).astype("bfloat16")
        assert (y == exact).all()
        assert (x_bar == exact).all()
    assert (x / jnp.bfloat16(0.9) != (x.astype("float32") / 0.9).astype("bfloat16")).any()
