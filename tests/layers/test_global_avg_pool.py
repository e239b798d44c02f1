import jax.numpy as jnp
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.global_avg_pool)


GLOBAL = named("global_avg_pool")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_sums_accumulate_in_float32(dtype):
    """256 + 1 + 1 + 2 is 260 and its quarter 65; step by step bfloat16 loses both ones. 4096 ones make float16 stop."""
    assert purecnn.global_avg_pool(jnp.array([256, 1, 1, 2], dtype).reshape(1, 1, 4, 1)) == 65
    assert purecnn.global_avg_pool(jnp.ones((1, 64, 64, 1), dtype)) == 1


def test_nothing_is_kept_but_the_shape():
    _, residuals = GLOBAL.fwd(*GLOBAL.arguments("float32"))
    assert [r.nbytes for r in residuals] == [0]


def sum_not_mean(residuals, y_bar):
    return (purecnn.global_avg_pool_bwd(residuals, y_bar)[0] * 8,)


def divided_by_the_batch_too(residuals, y_bar):
    return (purecnn.global_avg_pool_bwd(residuals, y_bar)[0] / 2,)


def one_entry_gets_it_all(residuals, y_bar):
    (x_bar,) = purecnn.global_avg_pool_bwd(residuals, y_bar)
    return (jnp.zeros_like(x_bar).at[:, 0, 0].set(y_bar),)


@pytest.mark.parametrize(
    "faulty", [sum_not_mean, divided_by_the_batch_too, one_entry_gets_it_all, faulty_rules.cotangent_ignored(GLOBAL)]
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(GLOBAL, faulty)
