"""A mask by equality that sees its input with two roundings loses cotangents, behind a product under jit alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import one_in

RNG = np.random.default_rng(0)
CHECKS = ("gradient", "transforms")


def largest(compared):
    """The maximum of each row, whose cotangent goes to the entries equal to it, compared in the dtype `compared`."""

    def bwd(residuals, g):
        x, y = residuals
        won = x.astype(compared or x.dtype) == y[:, None].astype(compared or x.dtype)
        return (jnp.where(won, g[:, None], 0).astype(g.dtype),)

    rule = jax.custom_vjp(lambda x: x.max(1))
    rule.defvjp(lambda x: (x.max(1), (x, x.max(1))), bwd)
    return rule


def test_winners_compared_in_float32_are_lost_in_bfloat16():
    x = jnp.asarray(RNG.standard_normal((16, 12)), jnp.bfloat16)
    report = verify.check(largest(jnp.float32), x, cases=0, checks=CHECKS)
    assert [f.check for f in report.failures] == ["transforms"], report
    assert "two roundings" in report.failures[0].cause
    assert verify.check(largest(None), x, cases=0, checks=CHECKS).ok


def test_of_a_float32_call_it_is_a_note():
    x = RNG.standard_normal((16, 12)).astype(np.float32)
    report = verify.check(largest(jnp.float32), x, cases=0, checks=CHECKS)
    assert report.ok, report
    assert any("in bfloat16" in n and "behind a product" in n for n in report.notes), report


@pytest.mark.parametrize("seed", one_in(3, range(3)))
def test_ties_of_few_digits_raise_no_alarm(seed):
    x = jnp.asarray(np.random.default_rng(seed).integers(-3, 4, (16, 12)) / 7, jnp.bfloat16)
    report = verify.check(largest(None), x, cases=0, checks=("transforms",))
    assert not report.failures, report
