"""A Pallas kernel that steps through whole blocks is not called with sizes at which it leaves out the rest."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl

import verify

pytestmark = pytest.mark.usefixtures("a_users_jax")
BLOCK = 4  # rows


def summed(x: Any) -> Any:
    """The squares of each column, summed over whole blocks of rows."""

    def kernel(x_ref, y_ref):
        def add(i, total):
            return total + (x_ref[pl.ds(i * BLOCK, BLOCK), :] ** 2).sum(0)

        y_ref[...] = jax.lax.fori_loop(0, x_ref.shape[0] // BLOCK, add, jnp.zeros(x_ref.shape[1], x_ref.dtype))

    shape = jax.ShapeDtypeStruct(x.shape[1:], x.dtype)
    return pl.pallas_call(kernel, out_shape=shape, interpret=True, name="summed")(x)


def all_rows(x, g):
    return 2 * x * g


def first_block_twice(x, g):
    return jnp.concatenate([2 * all_rows(x[:BLOCK], g), all_rows(x[BLOCK:], g)])


@pytest.mark.parametrize(("backward", "verdict"), [(all_rows, "right"), (first_block_twice, "wrong")])
def test_a_rule_for_whole_blocks_is_not_held_to_others(backward, verdict):
    rule = jax.custom_vjp(summed)
    rule.defvjp(lambda x: (summed(x), x), lambda x, g: (backward(x, g),))
    x = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    report = verify.check(rule, x, checks=("contract", "gradient", "differences"))
    assert report.verdict == verdict, report
