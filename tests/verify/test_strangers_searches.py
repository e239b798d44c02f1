"""Calls that the example promises no more: a search without a solution, a reflection of one row, four coordinates."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import LONG, joined, with_arguments
from verify.call_under_test import CallUnderTest, with_cotangent
from verify.checks import gradient
from verify.function_under_test import describe
from verify.report.finding import NotRunError

RNG = np.random.default_rng(5)


def quantile(p, rate):
    """That of the exponential distribution, by bisection between 0 and 200."""

    def halve(_, ends):
        middle = (ends[0] + ends[1]) / 2
        below = 1 - jnp.exp(-rate * middle) < p
        return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

    ends = jnp.zeros_like(p * rate), jnp.full_like(p * rate, 200)
    return jnp.stack(jax.lax.fori_loop(0, 60, halve, ends)).mean(0)


def quantile_bwd(res, g, *, wrong):
    p, rate = res
    x = quantile(p, rate)
    density = rate * jnp.exp(-rate * x)
    return (2 if wrong else 1) * g / density, -g * x * jnp.exp(-rate * x) / density


def reflected(x):
    return jnp.pad(x, 1, mode="reflect")


def reflected_bwd(res, g, *, wrong):
    def folded(g):
        inner = g[1:-1].at[1].add(g[0])
        return inner if wrong else inner.at[-2].add(g[-1])

    return (folded(folded(g).T).T,)


def projected(points, camera):
    seen = points @ camera.T
    return seen[:, :2] / seen[:, 2:]


def projected_bwd(res, g, *, wrong):
    points, camera = res
    seen = points @ camera.T
    of_depth = -(g * seen[:, :2] / seen[:, 2:] ** (1 if wrong else 2)).sum(1, keepdims=True)
    seen_bar = jnp.concatenate([g / seen[:, 2:], of_depth], 1)
    return seen_bar @ camera, seen_bar.T @ points


P = RNG.uniform(0.1, 0.9, 5).astype(np.float32)
POINTS = (RNG.standard_normal((5, 3)) * [1, 1, 0.3] + [0, 0, 4]).astype(np.float32)
CASES = {
    "the end of a bracket": (quantile, quantile_bwd, P, P[::-1] + np.float32(0.1)),
    "one row, which is repeated": (reflected, reflected_bwd, RNG.standard_normal((5, 6)).astype(np.float32)),
    "[:2] by [2:] of four": (
        *(projected, projected_bwd, POINTS),
        np.array([[1.2, 0, 0.3], [0, 1.1, 0.2], [0, 0, 1]], np.float32),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("wrong", [False, True])
def test_a_call_that_was_not_promised_is_none(name, wrong):
    function, bwd, *args = CASES[name]
    checks = ("contract", "gradient", "finite", "conditioning")
    report = verify.check(joined(function, bwd, wrong), *args, checks=checks, seconds=LONG)
    assert report.ok is not wrong, report


@pytest.mark.parametrize("shift", [0, 1e-5])
def test_a_value_near_a_root_has_the_digits_of_its_inputs(shift):
    """In float32 the bisection of a quantile ends 4e-8 beside the median, which is 0."""

    def normal(p):
        def halve(_, ends):
            middle = (ends[0] + ends[1]) / 2
            below = jax.scipy.special.ndtr(middle) < p
            return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

        ends = jax.lax.fori_loop(0, 60, halve, (jnp.full_like(p, -9), jnp.full_like(p, 9)))
        return (ends[0] + ends[1]) / 2 + shift

    exact = jax.scipy.stats.norm.ppf
    rule = with_arguments(normal, lambda res, g: (g / jax.scipy.stats.norm.pdf(exact(res[0])),))
    report = verify.check(rule, np.append(P, np.float32(0.5)), reference=exact, checks=("forward",), cases=0)
    assert report.ok is not shift, report


@pytest.mark.parametrize("factor", [1, 2])
def test_a_product_with_no_rows(factor):
    rule = with_arguments(lambda x, w: x @ w, lambda res, g: (g @ res[1].T, factor * res[0].T @ g))
    report = verify.check(rule, np.zeros((0, 3), np.float32), POINTS[:3, :2], checks=("contract", "gradient"))
    assert report.verdict == ("right" if factor == 1 else "wrong"), report
    assert "singular" not in str(report)


@pytest.mark.slow
def test_what_is_symmetric_changes_as_such_where_elements_are_tried_alone():
    """Conjugate gradients of another matrix have no solution that forward mode could follow."""

    def solve(a, b):
        def step(s):
            x, p, r, k = s
            ap = a @ p
            along = (r @ r) / (p @ ap)
            new = r - along * ap
            return x + along * p, new + (new @ new) / (r @ r) * p, new, k + 1

        going_on = lambda s: (s[2] @ s[2] > 1e-12 * (b @ b)) & (s[3] < 99)  # noqa: E731
        return jax.lax.while_loop(going_on, step, (jnp.zeros_like(b), b, b, 0))[0]

    def bwd(res, g):
        v = solve(res[0], g)
        return -jnp.outer(v, solve(*res)), v

    m = RNG.standard_normal((5, 5))
    args = (m @ m.T / 5 + np.eye(5)).astype(np.float32), RNG.standard_normal(5).astype(np.float32)
    report = verify.check(with_arguments(solve, bwd), *args, checks=("adjoint", "differences"), cases=0, seconds=LONG)
    assert report.ok, report


def cube_root(a):
    """By bisection, of which autodiff says 0."""

    def halve(_, ends):
        middle = (ends[0] + ends[1]) / 2
        return jnp.where(middle**3 < a, middle, ends[0]), jnp.where(middle**3 < a, ends[1], middle)

    ends = jax.lax.fori_loop(0, 60, halve, (jnp.zeros_like(a), jnp.full_like(a, 4)))
    return (ends[0] + ends[1]) / 2


@pytest.mark.parametrize(
    ("calls_itself", "held", "verdict"), [(False, False, "right"), (True, False, "right"), (True, True, "wrong")]
)
def test_a_search_that_the_forward_rule_runs_itself_is_a_note_and_a_held_root_is_wrong(calls_itself, held, verdict):
    """Both are right once; differentiated again, the first lacks the root's derivative, the last as well."""
    rule = jax.custom_vjp(lambda a: cube_root(a))

    def fwd(a):
        x = rule(a) if calls_itself else cube_root(a)
        return x, jax.lax.stop_gradient(x) if held else x

    rule.defvjp(fwd, lambda x, g: (g / (3 * x * x),))
    a = np.array([0.5, 2, 7], np.float32)
    report = verify.check(rule, a, checks=("gradient", "differences", "second order"), cases=0)
    assert report.verdict == verdict, report
    assert ("let it call the rule" in str(report)) is not calls_itself


def inverse(y, a):
    """x of x + a tanh(2 x) = y by Newton's method, which goes to and fro where a is large."""

    def step(_, x):
        t = jnp.tanh(2 * x)
        return x - (x + a * t - y) / (1 + 2 * a * (1 - t * t))

    return jax.lax.fori_loop(0, 60, step, y)


@pytest.mark.parametrize("wrong", [True, False])
def test_a_fixed_number_of_steps_that_does_not_converge_has_no_derivative(wrong):
    def bwd(res, g):
        y, a = res
        t = jnp.tanh(2 * inverse(y, a))
        v = g / (1 + 2 * a * (1 - t * t))
        return v, -v * t * (1.001 if wrong else 1)

    y = np.array([0.4, -1.3], np.float32)
    args = y, np.array([0.4, 0.2], np.float32)
    tested = describe(with_arguments(inverse, bwd), args, None, None)
    example = with_cotangent(CallUnderTest(tested, "", args, {}, 0, example=True), np.random.default_rng(0))
    assert bool(gradient.findings(example)) is wrong
    large = replace(example, arrays=(y, np.array([0.4, 4], np.float32)), example=False)
    if wrong:  # as it is where the steps converge
        assert gradient.findings(replace(large, arrays=(y, args[1] / 2)))
    else:
        with pytest.raises(NotRunError, match="without a solution"):
            gradient.findings(large)


def soft_mask(x):
    """Sigmoids that sum to 2, behind a threshold found by bisection, of which autodiff says 0."""

    def halve(_, ends):
        middle = (ends[0] + ends[1]) / 2
        above = jax.nn.sigmoid(x - middle).sum() > 2
        return jnp.where(above, middle, ends[0]), jnp.where(above, ends[1], middle)

    ends = jax.lax.fori_loop(0, 80, halve, (x.min() - 40, x.max() + 40))
    return jax.nn.sigmoid(x - (ends[0] + ends[1]) / 2)


@pytest.mark.parametrize("wrong", [True, False])
def test_where_autodiff_is_no_oracle_a_cotangent_that_vanishes_leaves_its_rounding(wrong):
    """Whatever moves, the sum stays: of a cotangent of ones nothing is left."""

    def bwd(res, g):
        y = soft_mask(*res)
        w = y * (1 - y)
        return (w * g - w * (w * g).sum() / w.sum() * (1.001 if wrong else 1),)

    args = (np.array([0.3, -1.2, 0.8, 2.1], np.float32),)
    tested = describe(with_arguments(soft_mask, bwd), args, None, None)
    example = with_cotangent(CallUnderTest(tested, "", args, {}, 0, example=True), np.random.default_rng(0))
    assert bool(gradient.findings(example)) is wrong
    ones = replace(example, y_bar=(np.ones(4, np.float32),), example=False)
    assert bool(gradient.findings(ones)) is wrong
