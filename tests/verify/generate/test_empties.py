"""Packed sequences one of which is empty, where none is in the example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.verify.rules import assert_only_the_fault_is_seen, with_arguments
from verify.checking import _example
from verify.function_under_test import describe
from verify.generate import empties

pytestmark = pytest.mark.usefixtures("a_users_jax")
CHECKS = ("contract", "gradient")
X = np.random.default_rng(32).standard_normal((9, 2)).astype(np.float32)
CUTS = np.array([0, 3, 5, 9], np.int32)


def pooled(x, cuts, *, apart=False):
    """The mean of each sequence, 0 of an empty one. `apart`: as if no two began at one row."""
    begins = jnp.zeros(len(x) + 1, jnp.int32).at[cuts[1:-1]]
    which = jnp.cumsum((begins.set(1) if apart else begins.add(1))[:-1])
    return jax.ops.segment_sum(x, which, len(cuts) - 1) / jnp.maximum(jnp.diff(cuts), 1)[:, None]


def pooled_bwd(r, g, *, wrong):
    return *jax.vjp(lambda x: pooled(x, r[1], apart=wrong), r[0])[1](g), None


def test_an_empty_sequence_is_tried():
    assert_only_the_fault_is_seen(lambda x, cuts: pooled(x, cuts), pooled_bwd, X, CUTS, checks=CHECKS)


def test_not_where_it_has_no_value():
    def mean(x, cuts):
        return pooled(x, cuts) / (jnp.diff(cuts) > 0)[:, None]

    def tried(function):
        case = _example(describe(function, (X, CUTS), None, None), "", 0)
        return [case.arrays[1].tolist() for case in empties.calls(case, case)]

    assert tried(with_arguments(lambda x, cuts: pooled(x, cuts), lambda r, g: pooled_bwd(r, g, wrong=False))) == [
        [0, 5, 5, 9],
        [0, 3, 9, 9],
    ]
    assert tried(with_arguments(mean, lambda r, g: (*jax.vjp(lambda x: mean(x, r[1]), r[0])[1](g), None))) == []


def summed(table, rows, places):
    return jax.ops.segment_sum(table[rows], places, 4)


def summed_bwd(r, g, *, wrong):
    """`wrong`: what was in memory before, where nothing is written."""
    table, rows, places = r
    if wrong and not rows.size:
        return jnp.ones_like(table), None, None
    return jnp.zeros_like(table).at[rows].add(g[places]), None, None


def test_no_indices_are_tried():
    rows, places = np.array([0, 3, 3], np.int32), np.array([0, 0, 2], np.int32)
    assert_only_the_fault_is_seen(summed, summed_bwd, X, rows, places, checks=CHECKS)
