"""Large numbers that tie because they were rounded, and functions that autodiff does not differentiate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
import verify
from verify.call_under_test import CallUnderTest, with_cotangent
from verify.checks import conditioning
from verify.function_under_test import describe


@jax.custom_vjp
def to_neither(x):
    return purecnn.max_pool2d(x)


def to_neither_bwd(x, y_bar):
    won = x == jax.numpy.repeat(jax.numpy.repeat(purecnn.max_pool2d(x), 2, 1), 2, 2)
    alone = purecnn.avg_pool2d(won.astype(x.dtype)) == 0.25
    spread = [jax.numpy.repeat(jax.numpy.repeat(a, 2, 1), 2, 2) for a in (y_bar, alone)]
    return (spread[0] * won * spread[1],)


to_neither.defvjp(lambda x: (to_neither(x), x), to_neither_bwd)


@pytest.mark.parametrize(("rule", "right"), [(purecnn.max_pool2d, True), (to_neither, False)])
def test_a_tie_may_go_to_either_entry_but_not_to_neither(rule, right):
    rng = np.random.default_rng(0)
    x = (800 * rng.choice([-1.0, 1.0], (2, 6, 6, 3)) + rng.standard_normal((2, 6, 6, 3))).astype(np.float32)
    x[1, 2, 3, 0] = x[1, 3, 2, 0] = 803.5
    case = CallUnderTest(describe(rule, (x,), None, None), "saturated", (x,), {}, 0, stress=True)
    found = conditioning.findings(with_cotangent(case, rng))
    assert bool(found) != right
    assert all(f.index and f.index[:3] in {(1, 2, 3), (1, 3, 2)} for f in found)


def mixture(x, centers):
    return jax.nn.sigmoid(x[:, None] - centers[None])


def quantile(u, centers):
    """Of a mixture of logistic distributions, by bisection, of which autodiff is 0."""

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        below = mixture(middle, centers).mean(1) < u
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    ends = jnp.full_like(u, -30.0), jnp.full_like(u, 30.0)
    return sum(jax.lax.fori_loop(0, 60, halve, ends)) / 2


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_where_autodiff_is_not_the_derivative_its_error_bounds_say_nothing(factor):
    rule = jax.custom_vjp(lambda u, centers: quantile(u, centers))

    def fwd(u, centers):
        x = quantile(u, centers)
        return x, (x, centers)

    def bwd(residuals, g):
        s = mixture(*residuals)
        densities = s * (1 - s)
        u_bar = factor * g / densities.mean(1)
        return u_bar, u_bar @ densities / densities.shape[1]

    rule.defvjp(fwd, bwd)
    args = np.array([0.3, 0.995, 0.99999, 0.005, 0.2], np.float32), np.array([0.3, -0.5, 1.0], np.float32)
    case = CallUnderTest(describe(rule, args, None, None), "saturated", args, {}, 0, stress=True)
    found = conditioning.findings(with_cotangent(case, np.random.default_rng(0)))
    assert bool(found) == (factor != 1)


def matern(x, scale):
    """Matérn's kernel of all pairs of points, by squares less products: rounding keeps a point apart from itself."""
    squares = (x**2).sum(-1)
    distances = jnp.maximum(squares[:, None] + squares[None] - 2 * x @ x.T, 0)
    apart = distances > 0
    s = jnp.where(apart, jnp.sqrt(jnp.where(apart, distances, 1)), 0) / scale
    return jnp.exp(jnp.log1p(s + s**2 / 3) - s)


def test_what_fusing_alone_rounds_otherwise_is_no_fault():
    x = np.random.default_rng(5).standard_normal((4, 2)).astype(np.float32)
    assert verify.check(matern, x, np.float32(0.9), checks=("gradient", "conditioning")).ok
