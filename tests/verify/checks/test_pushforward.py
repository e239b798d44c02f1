"""The tangent of a `custom_jvp`, and its value under `jax.jvp`, element by element."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verify.checking import check

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
ALONE = ("contract", "pushforward")


def joined(fun, jvp):
    rule = jax.custom_jvp(fun)
    rule.defjvp(jvp)
    return rule


def squared(x, y):
    return x**2 * y


def jvp_of(value=1.0, slope=1.0):
    def jvp(primals, tangents):
        (x, y), (dx, dy) = primals, tangents
        return value * squared(x, y), 2 * x * y * dx + slope * x**2 * dy

    return jvp


def test_right():
    report = check(joined(squared, jvp_of()), X, X + 3, cases=0)
    assert report.ok, report
    assert any(o.check == "pushforward" and o.status == "passed" for o in report.outcomes)


@pytest.mark.parametrize(
    ("faulty", "argument"),
    [({"value": 1.01}, "output under jax.jvp"), ({"slope": 1 + 1e-5}, "tangent of output under jax.jvp")],
    ids=["value", "tangent"],
)
def test_wrong(faulty, argument):
    report = check(joined(squared, jvp_of(**faulty)), X, X + 3, cases=0, checks=ALONE)
    assert [(f.check, f.argument) for f in report.failures] == [("pushforward", argument)]


def test_any_convention_at_a_kink_and_none_elsewhere():
    at_zero = np.array([-1.0, 0.0, 2.0, 0.0], np.float32)

    def jvp(slope, shift):
        return lambda p, t: (jnp.abs(p[0]), jnp.where(p[0] == 0, slope, jnp.sign(p[0]) + shift) * t[0])

    for slope in (-1.0, 0.0, 0.5, 1.0):
        assert check(joined(jnp.abs, jvp(slope, 0.0)), at_zero, cases=0, checks=ALONE).failures == ()
    assert check(joined(jnp.abs, jvp(3.0, 0.0)), at_zero, cases=0, checks=ALONE).failures
    assert check(joined(jnp.abs, jvp(0.0, 0.5)), at_zero, cases=0, checks=ALONE).failures


def guarded(x, y):
    """x log y, 0 where x is: smooth, and its autodiff at x = 0 sees the guard alone."""
    return jnp.where(x == 0, 0.0, x * jnp.log(jnp.where(x == 0, 1.0, y)))


def test_a_guard_at_one_point_is_the_formulas_fault_and_nothing_else_is_excused_there():
    x, y = np.array([0, 0.5, 1, 0, 2], np.float32), np.array([0.3, 0.5, 0.7, 0.2, 0.9], np.float32)

    def jvp(factor):
        return lambda p, t: (guarded(*p), factor * t[0] * jnp.log(p[1]) + t[1] * p[0] / p[1])

    assert check(joined(guarded, jvp(1.0)), x, y, cases=0, checks=ALONE).failures == ()
    assert check(joined(guarded, jvp(1.01)), x, y, cases=0, checks=ALONE).failures


@pytest.mark.parametrize(("slope", "verdict"), [(0.7978845, "right"), (0.7979, "wrong")])
def test_a_constant_of_eight_digits_in_a_pushforward_is_a_note(slope, verdict):
    own = jax.custom_jvp(lambda x: jnp.sin(0.7978845608028654 * x))
    own.defjvps(lambda dx, y, x: slope * jnp.cos(0.7978845608028654 * x) * dx)
    report = check(own, X, cases=0, checks=("pushforward", "gradient"))
    assert report.verdict == verdict, report


def weighted(x, weights):
    logp = jax.nn.log_softmax(x)
    return jnp.where(weights != 0, weights * logp, 0.0)


def weighted_jvp(primals, tangents):
    (x, weights), (dx, dweights) = primals, tangents
    logp = jax.nn.log_softmax(x)
    dlogp = dx - jnp.sum(dx * jnp.exp(logp), -1, keepdims=True)
    return weighted(x, weights), weights * dlogp + dweights * logp


def test_a_guard_at_zero_weights_beside_a_logit_of_minus_infinity():
    x = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    x[4, 1] = -np.inf
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 1, 0]]
    report = check(joined(weighted, weighted_jvp), x, targets, cases=0, checks=("gradient",))
    assert report.ok, report


@pytest.mark.parametrize(("factor", "faulty"), [(1.0, False), (1.5, True)])
def test_the_tangent_of_a_bisection_of_which_forward_mode_says_0_is_that_of_its_values(factor, faulty):
    def halve(ends, a):
        middle = (ends[0] + ends[1]) / 2
        below = middle**3 + middle < a
        return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

    def bisected(a):
        ends = jnp.full_like(a, -8.0), jnp.full_like(a, 8.0)
        ends = jax.lax.while_loop(lambda e: (e[1] - e[0]).max() > 1e-5, lambda e: halve(e, a), ends)
        return (ends[0] + ends[1]) / 2

    rule = joined(bisected, lambda p, t: (bisected(*p), factor * t[0] / (3 * bisected(*p) ** 2 + 1)))
    report = check(rule, np.array([1.3, -0.4, 2.1], np.float32), cases=0, checks=("pushforward",))
    assert bool(report.failures) == faulty, report
