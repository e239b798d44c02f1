"""What is right at a kink, and what is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import SLOPES
from verify import suite

from ..seeds import alarms


def test_a_float32_counter_inside_a_rule_does_not_blur_what_its_differences_tell():
    pool = next(e for e in suite.ENTRIES if e.name == "max_pool2d")
    assert alarms(pool.rule, pool.args, None, range(1, 2), every_content=10) == []


def surrogate(slope):
    """The sign of x, with a declared slope."""
    rule = jax.custom_vjp(jnp.sign)
    rule.defvjp(lambda x: (jnp.sign(x), x), lambda x, g: (jnp.where(slope(x), g, 0.0),))
    return rule


def declared(x):
    inside = jnp.clip(x, -1.0, 1.0)
    return inside + jax.lax.stop_gradient(jnp.sign(x) - inside)


def test_at_the_kinks_of_a_surrogate_any_convention_is_right():
    x = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    for slope in (lambda x: jnp.abs(x) <= 1, lambda x: jnp.abs(x) < 1):
        report = verify.check(surrogate(slope), x, reference=declared, checks=SLOPES)
        assert report.ok, report
    assert verify.check(surrogate(lambda x: jnp.abs(x) <= 2), x, reference=declared, checks=SLOPES).verdict == "wrong"


def bisected(a):
    """The root of x³ + x = a: only comparisons depend on `a`, so that autodiff of the loop gives 0."""

    def halve(bounds):
        low, high = bounds
        middle = (low + high) / 2
        below = middle**3 + middle < a
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    ends = jnp.full_like(a, -8.0), jnp.full_like(a, 8.0)
    low, high = jax.lax.while_loop(lambda b: jnp.abs(b[1] - b[0]).max() > 1e-5, halve, ends)
    return (low + high) / 2


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.5, "wrong")])
def test_a_solver_that_moves_by_jumps_has_the_slope_of_long_steps(factor, verdict):
    rule = jax.custom_vjp(lambda a: bisected(a))
    rule.defvjp(lambda a: (bisected(a),) * 2, lambda x, g: (factor * g / (3 * x**2 + 1),))
    a = np.array([1.3, -0.4, 2.1], np.float32)
    report = verify.check(rule, a, cases=0, checks=("gradient", "differences"))
    assert report.verdict == verdict, report


@pytest.mark.usefixtures("a_users_jax")
@pytest.mark.parametrize(("wrong", "verdict"), [(False, "right"), (True, "wrong")])
def test_where_the_function_jumps_any_number_is_right(wrong, verdict):
    """Vectors made longer by b: at 0 autodiff gives the slope of the guard, b, and this rule 0."""

    def length(z):
        r = jnp.sqrt((z * z).sum(-1, keepdims=True))
        return r, jnp.where(r == 0, 1, r)

    def longer(z, b):
        r, divisor = length(jnp.where((z == 0).all(-1, keepdims=True), 0, z))
        return (r + b) * z / divisor

    def bwd(residuals, g):
        z, b = residuals
        r, divisor = length(z)
        u = z / divisor
        radial = (g * u).sum(-1, keepdims=True)
        along = g + b / divisor * (g if wrong else g - u * radial)
        return jnp.where(r > 0, along, 0), jnp.where(r > 0, radial, 0).sum(0)

    rule = jax.custom_vjp(longer)
    rule.defvjp(lambda z, b: (longer(z, b), (z, b)), bwd)
    rng = np.random.default_rng(0)
    args = rng.standard_normal((4, 2)).astype(np.float32), np.array([0.5], np.float32)
    report = verify.check(rule, *args, checks=("gradient",))
    assert report.verdict == verdict, report
