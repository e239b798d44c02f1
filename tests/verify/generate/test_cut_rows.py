"""Sizes at which a reshape of the function cuts across rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import LONG, assert_only_the_fault_is_seen, with_arguments

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def statistics(x, groups):
    y = x.reshape(x.shape[0], groups, -1)
    return y.mean(-1), jax.lax.rsqrt(y.var(-1) + 1e-5)


def normalised(x, gamma, groups=2):
    mean, scale = statistics(x, groups)
    y = (x.reshape(*mean.shape, -1) - mean[..., None]) * scale[..., None]
    return y.reshape(x.shape) * gamma[:, None, None]


def normalised_bwd(r, g, *, wrong, groups=2):
    """`wrong`: channels are dealt to the groups in turn."""
    x, gamma = r
    (mean, scale), channels = statistics(x, groups), x.shape[1]
    group = jnp.arange(channels) % groups if wrong else jnp.arange(channels) // (channels // groups)
    bar = (g * (x - mean[:, group, None, None]) * scale[:, group, None, None]).sum((0, 2, 3))
    return jax.vjp(lambda x: normalised(x, gamma, groups), x)[1](g)[0], bar


def test_channels_stay_a_multiple_of_the_groups():
    """The function itself takes 3 channels of 4 by 3 in 2 groups."""
    assert_only_the_fault_is_seen(normalised, normalised_bwd, normal(2, 8, 4, 4), normal(8), checks=("gradient",))


@pytest.mark.parametrize("wrong", [True, False])
def test_slots_of_tokens_stay_as_many(wrong):
    """12 rows of 4 are 8 tokens' 2 slots of 3 numbers, too."""

    def combined(y, weights, order):
        return jnp.einsum("tk,tkd->td", weights, y[order].reshape(*weights.shape, -1))

    def bwd(r, g):
        y, weights, order = r
        rows = (y if wrong else y[order]).reshape(*weights.shape, -1)
        slots = (weights[..., None] * g[:, None]).reshape(weights.size, -1)
        return jnp.zeros_like(y).at[order].add(slots), jnp.einsum("td,tkd->tk", g, rows), None

    weights = np.abs(normal(8, 2)) + np.float32(0.1)
    args = normal(16, 4), weights / weights.sum(1, keepdims=True), RNG.permutation(16).astype(np.int32)
    report = verify.check(with_arguments(combined, bwd), *args, checks=("contract", "gradient"), seconds=LONG)
    assert report.verdict == ("wrong" if wrong else "right"), report
