"""What is allowed where the error analysis has no number, and where forward mode is no slope of the values."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import with_arguments
from verify.call_under_test import CallUnderTest, with_cotangent
from verify.checks import adjoint
from verify.function_under_test import describe


@pytest.mark.parametrize("factor", [1, 1.001])
def test_an_error_bound_that_is_nan_is_none(factor):
    rule = with_arguments(lambda x: jnp.sin(x) * x, lambda r, g: (factor * g * (jnp.sin(r[0]) + jnp.cos(r[0]) * r[0]),))
    rng = np.random.default_rng(0)
    x = rng.standard_normal(5).astype(np.float32)
    case = with_cotangent(CallUnderTest(describe(rule, (x,), None, None), "", (x,), {}, 0, example=True), rng)
    magnitudes = [np.where(np.arange(5) == 2, np.nan, m) for m in case.truth.magnitudes]
    case.__dict__["remembered"]["truth"] = replace(case.truth, magnitudes=magnitudes)
    assert bool(adjoint.findings(case)) is (factor != 1)


def unconstrained(c):
    """argmin x² + c x, through a linear solver that takes one step from the last solution on (jaxopt's OSQP): so does
    JAX for its tangent, from the solution instead of a tangent of it."""

    def improved(state):
        x, _ = state
        new = jax.lax.custom_linear_solve(lambda v: 2 * v, -c, lambda mv, b: x + 0.3 * (b - mv(x)), symmetric=True)
        return new, jnp.abs(new - x).max()

    start = jnp.zeros_like(c), jnp.ones((), c.dtype)
    return jax.lax.while_loop(lambda state: state[1] > 1e-6, improved, start)[0]


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, "right"), (0.51, "wrong")])
def test_a_loop_whose_tangents_do_not_follow_its_values_is_no_oracle(factor, verdict):
    rule = jax.custom_vjp(unconstrained)
    rule.defvjp(lambda c: (unconstrained(c), None), lambda _, g: (-factor * g,))
    report = verify.check(rule, jnp.array([0.3, -0.5, 1.2]), cases=0, checks=("adjoint", "differences"))
    assert report.verdict == verdict, report
    assert "adjoint: forward mode of the function's loops is not the slope of its values" in str(report)


def rooted(x):
    """√x where x > 0, else 0, with a slope of NaN there, by autodiff."""
    return jnp.where(x > 0, jnp.sqrt(x), 0.0)


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, "right"), (0.501, "wrong")])
def test_an_element_without_a_derivative_drops_itself_alone(factor, verdict):
    rule = jax.custom_vjp(rooted)
    rule.defvjp(lambda x: (rooted(x), x), lambda x, g: (jnp.where(x > 0, factor * g / jnp.sqrt(x), jnp.nan),))
    x = np.array([-1.0, 2.0, -0.5, 0.7, 1.3], np.float32)
    report = verify.check(rule, x, cases=0, checks=("adjoint", "transforms"))
    assert report.verdict == verdict, report
