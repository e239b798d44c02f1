import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core
from jax.extend.core import Primitive
from jax.interpreters import mlir

import verify
from verify.oracle import budget
from verify.oracle.budget import unbounded, within_budget
from verify.oracle.primal import equations


def newton(x):
    """√x; without end for x < 0."""
    return jax.lax.while_loop(lambda s: jnp.abs(s * s - x) > 1e-5 * x, lambda s: 0.5 * (s + x / s), x)


def in_a_scan(x):
    return jax.lax.scan(lambda total, a: (total + newton(a), newton(a)), 0.0, jnp.stack([x, 2 * x]))


def in_a_branch(x):
    return jax.lax.cond(x > 100, jnp.sin, newton, x)


def in_a_loop(x):
    return jax.lax.fori_loop(0, jnp.int32(x * 0 + 2), lambda _, s: newton(s), x)


def in_a_batch(x):
    return jax.vmap(newton)(jnp.stack([jnp.abs(x), x]))


@pytest.mark.parametrize("function", [newton, in_a_scan, in_a_branch, in_a_loop, in_a_batch, jax.jit(newton)])
def test_a_loop_that_ends_gives_its_numbers_and_one_that_does_not_says_so(monkeypatch, function):
    monkeypatch.setattr(budget, "ITERATIONS", 50)
    closed = jax.make_jaxpr(function)(3.0)
    assert unbounded(closed)
    run = jax.jit(within_budget(closed))
    got, ended = run(3.0)
    for a, b in zip(got, jax.tree.leaves(function(3.0)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert ended
    assert not run(-3.0)[1]


def test_what_has_no_loop_is_left_alone():
    assert not unbounded(jax.make_jaxpr(lambda x: jax.lax.scan(lambda c, a: (c + a, a), 0.0, x))(jnp.ones(3)))


@jax.custom_vjp
def root(x):
    return jax.lax.while_loop(lambda s: jnp.abs(s * s - x).max() > 1e-6 * x.max(), lambda s: 0.5 * (s + x / s), x)


def joined(backward):
    rule = jax.custom_vjp(root.fun)
    rule.defvjp(lambda x: (root.fun(x),) * 2, backward)
    return rule


@pytest.mark.parametrize(("factor", "verdict"), [(2, "right"), (3, "wrong")])
def test_a_square_root_by_newton_is_judged_on_the_calls_that_end(factor, verdict):
    x = np.array([0.3, 0.9, 2.0, 5.0], np.float32)
    assert verify.check(joined(lambda s, g: (g / (factor * s),)), x).verdict == verdict


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def fixed_point(f, a, start):
    """As JAX's tutorial on custom derivatives has it."""
    return _iterate(f, a, start)


def _iterate(f, a, start):
    def cond(pair):
        return jnp.abs(pair[0] - pair[1]) > 1e-6

    return jax.lax.while_loop(cond, lambda pair: (pair[1], f(a, pair[1])), (start, f(a, start)))[1]


def _fixed_point_fwd(f, a, start):
    end = fixed_point(f, a, start)
    return end, (a, end)


def _fixed_point_bwd(f, residuals, cotangent):
    a, end = residuals

    def step(packed, u):
        a, end, cotangent = packed
        return cotangent + jax.vjp(lambda x: f(a, x), end)[1](u)[0]

    u = fixed_point(step, (a, end, cotangent), cotangent)
    return *jax.vjp(lambda a: f(a, end), a)[1](u), jnp.zeros_like(end)


fixed_point.defvjp(_fixed_point_fwd, _fixed_point_bwd)


def test_the_fixed_point_of_the_tutorial_is_right():
    report = verify.check(lambda a: fixed_point(lambda a, x: 0.5 * (x + a / x), a, a), np.float32(2.0))
    assert report.verdict == "right"


def test_a_loop_inside_of_a_linear_solve_is_counted():
    def solved(b):
        def solve(_, b):
            return jax.lax.while_loop(lambda x: jnp.all(x < 1e30), lambda x: jnp.minimum(x + 1, 5.0), b)

        return jax.lax.custom_linear_solve(lambda x: 2 * x, b, solve, symmetric=True)

    closed = jax.make_jaxpr(solved)(jnp.zeros(2))
    _, ended = jax.jit(budget.within_budget(closed))(jnp.zeros(2))
    assert not ended


def minimum(a):
    """Of (y - a)² + cosh(y), by steps; the state says that one was short."""

    def step(state):
        d = 0.2 * (2 * (state[0] - a) + jnp.sinh(state[0]))
        return state[0] - d, jnp.abs(d).max() < 1e-5

    return jax.lax.while_loop(lambda state: ~state[1], step, (jnp.zeros_like(a), jnp.array(False)))[0]


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.01, "wrong")])
def test_a_loop_that_keeps_whether_it_is_done_leaves_the_error_of_its_tolerance(factor, verdict):
    rule = jax.custom_vjp(lambda a: minimum(a))
    rule.defvjp(lambda a: (minimum(a),) * 2, lambda y, g: (factor * 2 * g / (2 + jnp.cosh(y)),))
    a = np.array([1.3, -0.4, 2.1], np.float32)
    report = verify.check(rule, a, cases=0, checks=("gradient", "adjoint", "differences"))
    assert report.verdict == verdict, report


def nested(depth):
    if depth == 0:
        return lambda x: 0.5 * jnp.sin(x)
    inside = nested(depth - 1)
    return lambda x: jax.lax.while_loop(lambda s: jnp.abs(s).max() > 1e-3, lambda s: 0.5 * inside(s), x)


def test_loops_within_loops_go_on_without_doubling_the_program_at_every_depth():
    def length(depth):
        closed = jax.make_jaxpr(nested(depth))(1.0)
        return sum(1 for _ in equations(jax.make_jaxpr(budget.continued(closed))(1.0)))

    assert length(5) - length(4) <= 1.2 * (length(2) - length(1))


def test_a_loop_goes_on_for_one_iteration_more_than_twice_as_many():
    closed = jax.make_jaxpr(lambda x: jax.lax.while_loop(lambda s: s < 2.5, lambda s: s + 1.0, x))(0.0)
    (end,), ended = jax.jit(budget.continued(closed))(0.0)
    assert end == 7
    assert ended


def test_a_loop_that_appears_when_its_primitive_is_lowered_goes_on():
    solve = Primitive("linear_solve")
    solve.multiple_results = True

    def root(x):
        return [jax.lax.while_loop(lambda s: jnp.abs(s * s - x) > 0.3 * x, lambda s: 0.5 * (s + x / s), x)]

    solve.def_impl(root)
    solve.def_abstract_eval(lambda x: [x])
    mlir.register_lowering(solve, mlir.lower_fun(root, multiple_results=True))
    closed = jax.make_jaxpr(lambda x: solve.bind(x))(9.0)
    assert budget.iterates(closed)
    assert not budget.iterates(jax.make_jaxpr(jnp.sin)(9.0))
    ((end,), _), (start,) = jax.jit(budget.continued(closed))(9.0), jax.jit(core.jaxpr_as_fun(closed))(9.0)
    assert abs(end - 3) < 1e-6 < abs(start - 3)


def iterated(step, start, tolerance):
    far = lambda s: jnp.abs(s[0] - s[1]).max() > tolerance  # noqa: E731
    return jax.lax.while_loop(far, lambda s: (s[1], step(s[1])), (start, step(start)))[1]


def loosely_solved(a, tolerance):
    """x = 0.7 sin x + a, until a step is below the tolerance: its tangent is off by more than that."""
    return iterated(lambda x: 0.7 * jnp.sin(x) + a, a, tolerance)


@pytest.mark.parametrize("check", ["adjoint", "differences"])
@pytest.mark.parametrize("tolerance", [1e-3, 0.1])
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.05, "wrong")])
def test_an_implicit_derivative_is_held_against_what_the_loop_converges_to(factor, verdict, tolerance, check):
    rule = jax.custom_vjp(lambda a: loosely_solved(a, tolerance))
    rule.defvjp(lambda a: (loosely_solved(a, tolerance),) * 2, lambda x, g: (factor * g / (1 - 0.7 * jnp.cos(x)),))
    a = np.array([0.3, -0.6, 0.9], np.float32)
    report = verify.check(rule, a, cases=0, checks=("gradient", check))
    assert report.verdict == verdict, report


@pytest.mark.parametrize("check", ["adjoint", "differences"])
@pytest.mark.parametrize(("tolerance", "verdict"), [(1e-5, "right"), (0.2, "wrong")])
def test_a_loose_loop_of_the_backward_rule_alone_is_wrong(tolerance, verdict, check):
    rule = jax.custom_vjp(lambda a: loosely_solved(a, 1e-6))
    backward = lambda x, g: (iterated(lambda u: g + 0.7 * jnp.cos(x) * u, g, tolerance),)  # noqa: E731
    rule.defvjp(lambda a: (loosely_solved(a, 1e-6),) * 2, backward)
    a = np.array([0.3, -0.6, 0.9], np.float32)
    report = verify.check(rule, a, cases=0, checks=("gradient", check))
    assert report.verdict == verdict, report


def solved_in_time(x, g):
    """The u of u = g + 0.7 cos(x) u, by steps that lead away from it beyond the 99th, long after they are over."""
    step = lambda u: g + 0.7 * jnp.cos(x) * u  # noqa: E731
    far = lambda s: jnp.abs(step(s[0]) - s[0]).max() > 1e-6  # noqa: E731
    return jax.lax.while_loop(far, lambda s: (jnp.where(s[1] < 99, step(s[0]), 2 * s[0]), s[1] + 1), (g, 0))[0]


@pytest.mark.parametrize("check", ["adjoint", "differences"])
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.05, "wrong")])
def test_a_solver_of_the_backward_rule_that_breaks_down_beyond_its_end_is_right(factor, verdict, check):
    rule = jax.custom_vjp(lambda a: loosely_solved(a, 1e-3))
    backward = lambda x, g: (factor * solved_in_time(x, g),)  # noqa: E731
    rule.defvjp(lambda a: (loosely_solved(a, 1e-3),) * 2, backward)
    a = np.array([0.3, -0.6, 0.9], np.float32)
    report = verify.check(rule, a, cases=0, checks=("gradient", check))
    assert report.verdict == verdict, report
