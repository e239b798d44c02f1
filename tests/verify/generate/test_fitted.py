"""Sizes that an option asks for: what leaves a rest, and groups of another size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import assert_only_the_fault_is_seen

pytestmark = pytest.mark.usefixtures("a_users_jax")
CHECKS = ("contract", "gradient")
RNG = np.random.default_rng(31)
X = RNG.standard_normal((2, 8)).astype(np.float32)


def averaged(x, size=2, ceil_mode=False, *, share=True):
    """Means of windows side by side; with `ceil_mode` the last may be cut off by the end."""
    count = -(-x.shape[1] // size) if ceil_mode else x.shape[1] // size
    padded = jnp.pad(x, ((0, 0), (0, max(0, count * size - x.shape[1]))))[:, : count * size]
    inside = np.minimum(size, x.shape[1] - size * np.arange(count))
    return padded.reshape(len(x), count, size).sum(2) / (inside if share else size)


def mean(x, size=2, ceil_mode=False):
    return averaged(x, size, ceil_mode)


def mean_bwd(r, g, *, wrong, size=2, ceil_mode=False):
    return jax.vjp(lambda x: averaged(x, size, ceil_mode, share=not wrong), r[0])[1](g)


def test_a_flag_is_tried_where_windows_leave_a_rest():
    assert_only_the_fault_is_seen(mean, mean_bwd, X, checks=CHECKS)


def scaled(x, weights, scales, group=4):
    """Weights whose scale is that of their group of rows."""
    return x @ (weights * jnp.repeat(scales, group, 0))


def scaled_bwd(r, g, *, wrong, group=4):
    x, weights, scales = r
    shared = x.T @ g * weights
    rows = 4 if wrong else group
    by_scale = shared[: len(shared) // rows * rows].reshape(-1, rows, shared.shape[1]).sum(1)
    wide = jnp.repeat(scales, group, 0)
    by_scale = jnp.pad(by_scale, ((0, len(scales)), (0, 0)))[: len(scales)]
    return g @ (weights * wide).T, x.T @ g * wide, by_scale


def test_a_size_of_groups_is_tried_at_as_many_rows():
    weights, scales = (RNG.standard_normal(s).astype(np.float32) for s in ((8, 5), (2, 5)))
    assert_only_the_fault_is_seen(scaled, scaled_bwd, X, weights, scales, checks=CHECKS)


def test_a_number_for_an_option_that_is_none_may_be_refused():
    """An axis beyond the last, beside a default of None."""

    def summed(x, axis=None):
        if axis in (1, -1):
            raise ValueError("axis")
        return (x**2).sum(axis)

    report = verify.check(summed, X, checks=CHECKS)
    assert report.ok, report


def convolved(x, kernel, groups=1):
    return jax.lax.conv_general_dilated(
        x, kernel, (1,), "VALID", dimension_numbers=("NCH", "OIH", "NCH"), feature_group_count=groups
    )


def convolved_bwd(r, g, *, wrong, groups=1):
    x, kernel = r
    dx, dk = jax.vjp(lambda x, k: convolved(x, k, groups), x, kernel)[1](g)
    first = jnp.tile(x[:, : x.shape[1] // groups], (1, groups, 1))
    return dx, jax.vjp(lambda k: convolved(first, k, groups), kernel)[1](g)[0] if wrong else dk


def test_groups_divide_channels_of_both_sides():
    """As the kernel's outputs, which come after the channels."""
    x, kernel = (RNG.standard_normal(s).astype(np.float32) for s in ((2, 4, 7), (4, 4, 3)))
    assert_only_the_fault_is_seen(convolved, convolved_bwd, x, kernel, checks=CHECKS)


def accumulated(x, chunk_size=None):
    return jnp.cumsum(x, 1) ** 2


def accumulated_bwd(r, g, *, wrong, chunk_size=None):
    """`wrong`: the last chunk, which is not whole, gets nothing."""
    x = r[0]
    d = 2 * jnp.cumsum(x, 1) * g
    whole = x.shape[1] // chunk_size * chunk_size if wrong and chunk_size else x.shape[1]
    d = d.at[:, whole:].set(0)
    return (jnp.cumsum(d[:, ::-1], 1)[:, ::-1],)


def test_a_number_of_rows_is_tried_where_it_leaves_a_rest():
    assert_only_the_fault_is_seen(accumulated, accumulated_bwd, X[:, :6], checks=CHECKS)
