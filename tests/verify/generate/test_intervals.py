"""The ends of intervals stay in order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.checking import _example
from verify.function_under_test import describe
from verify.generate import generated_inputs, intervals

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((2, 4, 6)).astype(np.float32)


def example(fun, *args):
    return _example(describe(fun, args, None, None), "example", 0)


def clip(x, low, high):
    return jnp.clip(x, low, high)


@pytest.mark.parametrize("factor", [1, 2])
def test_the_ends_of_an_interval_stay_in_order(factor):
    def bwd(res, g):
        x, low, high = res
        below, above = x < low, x > high
        return jnp.where(below | above, 0, g), factor * jnp.where(below, g, 0).sum(), jnp.where(above, g, 0).sum()

    rule = jax.custom_vjp(clip)
    rule.defvjp(lambda *args: (clip(*args), args), bwd)
    report = verify.check(rule, X, np.float32(-0.7), np.float32(0.8), checks=("gradient",))
    assert report.ok is (factor == 1), report
    if factor == 2:
        assert report.failures[0].argument == "low"
        assert "low: " in str(report.failures[0])  # an array without axes has no index


def test_intervals_of_arrays_stay_in_order():
    low, high = np.sort(RNG.standard_normal((2, 8)).astype(np.float32), 0)
    case = example(lambda low, high: high - low, low, high)
    for filler in (generated_inputs.normal, generated_inputs.tied, generated_inputs.zero):
        ends = generated_inputs.fill(case, np.random.default_rng(1), {0: filler, 1: filler}, [(8,), (8,)])
        assert np.all(ends[0] < ends[1])
    unordered = example(lambda x, y: x - y, X[0], Y[0])
    assert not intervals.ordered(unordered.tested.leaves)


def test_bounds_of_a_clip_stay_in_order_in_integers_and_in_16_bits():
    def bwd(res, g):
        x, low, high = res
        below, above = x < low, x > high
        return jnp.where(below | above, 0, g), jnp.where(below, g, 0), jnp.where(above, g, 0)

    rule = jax.custom_vjp(clip)
    rule.defvjp(lambda *args: (clip(*args), args), bwd)
    report = verify.check(rule, X, -np.abs(Y) - 0.3, np.abs(Y) + 0.3, checks=("gradient", "exact", "low precision"))
    assert report.ok, report
    assert {"exact", "low precision"} <= {o.check for o in report.outcomes if o.status == "passed"}


def test_a_few_bounds_show_it_where_all_are_below_all_others():
    low, high = np.array([[-1, -0.3, -2]], np.float32), np.array([[0.4, 1, 3]], np.float32)
    assert intervals.ordered(example(clip, X[:, :3], low, high).tested.leaves) == [(1, 2)]
    assert not intervals.ordered(example(clip, X[:, :3], low, high - 1).tested.leaves)
