"""Where the bags of a list of indices start: at 0, and each behind the one before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.verify.rules import assert_only_the_fault_is_seen
from verify.function_under_test import INTEGER, Leaf
from verify.generate.divisions import divided

pytestmark = pytest.mark.usefixtures("a_users_jax")


@pytest.mark.parametrize(("count", "rows"), [(1, 4), (3, 6), (6, 5)])
def test_starts_begin_at_0_and_increase(count, rows):
    given = [Leaf(f"i{n}", INTEGER, np.array(a, np.int32)) for n, a in enumerate(([0, 2, 3], [1, 4, 2, 4, 0, 5]))]
    starts = divided(np.random.default_rng(0), 0, given, [(count,), (rows,)], frozenset({"scan"}))
    assert starts is not None
    assert len(starts) == count
    assert starts[0] == 0
    assert np.all(np.diff(starts) >= (count <= rows))


def test_no_index_lies_before_the_first_bag():
    """There the bag is -1: the sum leaves it out, and the backward rule takes the last one's cotangent."""

    def bag_of(indices, starts):
        return jnp.searchsorted(starts, jnp.arange(len(indices)), side="right") - 1

    def bags(table, indices, starts):
        return jax.ops.segment_sum(table[indices], bag_of(indices, starts), len(starts))

    def bwd(r, g, *, wrong):
        table, indices, starts = r
        rows, bar = g[bag_of(indices, starts)], jnp.zeros_like(table)
        return (bar.at[indices].set(rows) if wrong else bar.at[indices].add(rows)), None, None

    table = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    indices, starts = np.array([1, 4, 2, 4, 0, 5], np.int32), np.array([0, 2, 3], np.int32)
    assert_only_the_fault_is_seen(bags, bwd, table, indices, starts, checks=("gradient", "conditioning"))
