"""Searches that stop at a tolerance of their own, by bisection or Newton's method, where a call has little or no
solution: small values, a sum that no entries reach, a cubic that meets no level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import LONG, joined

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
