"""Searches that stop at a tolerance of their own, by bisection or Newton's method, where a call has little or no
solution: small values, a sum that no entries reach, a cubic that meets no level, numbers below the tolerance."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import LONG, joined
from verify.call_under_test import CallUnderTest, with_cotangent
from verify.checks import differences
from verify.function_under_test import describe
from verify.report.finding import NotRunError

W = np.array([1, 2, 0.5, 1, 1.5], np.float32)
CHECKS = ("contract", "gradient", "finite", "conditioning")


def box_section(x, c):
    """The point nearest to x with w · p = c in a box, whose multiplier is found by bisection to 1e-5."""
    ends = jax.lax.stop_gradient((jnp.min((-1 - x) / W), jnp.max((2 - x) / W)))

    def residual(t):
        return W @ jnp.clip(x + W * t, -1, 2) - c

    def halve(state):
        low, high, _, n = state
        middle = (low + high) / 2
        above = residual(middle) > 0
        return jnp.where(above, low, middle), jnp.where(above, middle, high), residual(middle), n + 1

    going_on = lambda state: (jnp.abs(state[2]) > 1e-5) & (state[3] < 30)  # noqa: E731
    low, high, _, _ = jax.lax.while_loop(going_on, halve, (*ends, jnp.full_like(c, 1), 0))
    return jnp.clip(x + W * (low + high) / 2, -1, 2)


def box_section_bwd(res, g, *, wrong):
    p = box_section(*res)
    inside = jnp.where((p > -1) & (p < 2), W, 0)
    size = jnp.sum(inside * inside)
    share = jnp.sum(inside * g) / jnp.where(size > 0, size, 1)
    return jnp.where(inside > 0, g - W * share, 0), (1.01 if wrong else 1) * share


def powers(u):
    return jnp.stack([jnp.ones_like(u), u, u * u, u * u * u])


def cubic_root(c, y):
    """u in [0, 1] where a cubic that grows has the value y, by Newton's method within a bracket."""

    def step(_, state):
        low, high, u = state
        above = c @ powers(u) > y
        low, high = jnp.where(above, low, u), jnp.where(above, u, high)
        newton = u - (c @ powers(u) - y) / (c[1] + 2 * c[2] * u + 3 * c[3] * u * u)
        return low, high, jnp.where((low <= newton) & (newton <= high), newton, (low + high) / 2)

    return jax.lax.fori_loop(0, 30, step, (jnp.zeros_like(y), jnp.ones_like(y), jnp.full_like(y, 0.5)))[2]


def cubic_root_bwd(res, g, *, wrong):
    c, y = res
    u = cubic_root(c, y)
    v = g / (c[1] + 2 * c[2] * u + 3 * c[3] * u * u)
    return -v * powers(u), (1.001 if wrong else 1) * v


RULES = {
    "the section of a box": (
        *(box_section, box_section_bwd),
        *(np.array([0.6, -0.59, -0.25, -0.6, -0.43], np.float32), np.float32(0.2)),
    ),
    "that near its corner": (
        *(box_section, box_section_bwd),
        *(np.array([0.5952163, -0.5853991, -0.25001353, -0.6023864, -0.42808402], np.float32), np.float32(0.1)),
    ),
    "a root of a cubic": (
        *(cubic_root, cubic_root_bwd),
        *(np.array([0.1, 1, -0.3, 0.4], np.float32), np.float32(0.6)),
    ),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("wrong", [False, True])
def test_a_search_to_a_tolerance(name, wrong):
    function, bwd, *args = RULES[name]
    report = verify.check(joined(function, bwd, wrong), *args, checks=CHECKS, seconds=LONG)
    assert report.ok is not wrong, report


def ridge(x, y):
    """Weights of a ridge regression by gradient descent from 0, which is its own solution to 1e-6 where x is tiny."""

    def slope(w):
        return x.T @ (x @ w - y) / y.size + w / 2

    going_on = lambda state: (jnp.abs(slope(state[0])).max() > 1e-6) & (state[1] < 999)  # noqa: E731
    step = lambda state: (state[0] - slope(state[0]) / 4, state[1] + 1)  # noqa: E731
    start = jnp.zeros_like(x[0])
    return jax.lax.while_loop(going_on, step, step((start, 0)))[0]


def ridge_bwd(res, g, *, wrong):
    x, y = res
    w = ridge(x, y)
    v = jnp.linalg.solve(x.T @ x / y.size + jnp.eye(w.size, dtype=x.dtype) / 2, g) * (1.01 if wrong else 1)
    return (jnp.outer(y - x @ w, v) - jnp.outer(x @ v, w)) / y.size, x @ v / y.size


@pytest.mark.parametrize("wrong", [False, True])
def test_numbers_far_below_a_tolerance_have_no_difference(wrong):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((6, 2)).astype(np.float32), rng.standard_normal(6).astype(np.float32)
    tested = describe(joined(ridge, ridge_bwd, wrong), (x, y), None, None)
    example = with_cotangent(CallUnderTest(tested, "", (x, y), {}, 0, example=True), rng)
    assert bool(differences.findings(example)) is wrong
    with pytest.raises(NotRunError, match="far above"):
        differences.findings(replace(example, arrays=(x * np.float32(1e-39), y), example=False))
