import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.drop_path)


DROP_PATH = named("drop_path")
KEY = jax.random.key(0)
ONES = jnp.ones((4000, 2, 3))  # of one size and rate wherever possible: each draws by a program of its own


def test_whole_samples_are_dropped_and_the_others_scaled():
    y = np.asarray(purecnn.drop_path(ONES, KEY, 0.2)).reshape(4000, 6)
    assert set(np.unique(y).tolist()) == {0.0, 1.25}
    assert (y == y[:, :1]).all()
    assert abs(float((y == 0).mean()) - 0.2) < 0.02


def test_same_key_same_samples_in_every_dtype():
    dropped = purecnn.drop_path(ONES, KEY, 0.2) == 0
    assert (dropped == (purecnn.drop_path(ONES.astype("bfloat16"), KEY, 0.2) == 0)).all()
    assert (dropped != (purecnn.drop_path(ONES, jax.random.key(1), 0.2) == 0)).any()


def test_rate_zero_is_the_identity():
    x = jnp.arange(5.0)
    assert (purecnn.drop_path(x, KEY, 0.0) == x).all()


def test_a_dropped_infinity_is_gone():
    y, residuals = purecnn.drop_path_fwd(jnp.inf * ONES, KEY, 0.2)
    x_bar, key_bar = purecnn.drop_path_bwd(residuals, jnp.inf * ONES, 0.2)
    assert set(np.unique(y).tolist()) == set(np.unique(x_bar).tolist()) == {0.0, np.inf}
    assert key_bar is None


def test_keeps_one_byte_a_sample():
    _, (mask,) = jax.eval_shape(lambda x: purecnn.drop_path_fwd(x, KEY, 0.2), ONES)
    assert (mask.size, mask.dtype) == (4000, bool)


def entries_dropped(residuals, y_bar, rate):
    """Dropout's mask, one coin an entry."""
    mask = jax.random.bernoulli(jax.random.key(3), jnp.float32(1 - rate), y_bar.shape)
    return jnp.where(mask, y_bar / (1 - rate), 0.0), None


def not_scaled(residuals, y_bar, rate):
    return purecnn.drop_path_bwd(residuals, y_bar, rate)[0] * (1 - rate), None


def mask_inverted(residuals, y_bar, rate):
    return purecnn.drop_path_bwd((~residuals[0],), y_bar, rate)


@pytest.mark.parametrize(
    "faulty", [entries_dropped, not_scaled, mask_inverted, faulty_rules.cotangent_ignored(DROP_PATH)]
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(DROP_PATH, faulty)


def test_sixteen_bits_do_not_round_the_scale():
    x = jnp.arange(1, 2000).astype("bfloat16")
    y, residuals = purecnn.drop_path_fwd(x, jax.random.key(0), 0.1)
    exact = jnp.where(y != 0, x.astype("float32") / 0.9, 0).astype("bfloat16")
    assert (y == exact).all()
    assert (purecnn.drop_path_bwd(residuals, x, 0.1)[0] == exact).all()
