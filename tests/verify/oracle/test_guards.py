"""Points at which autodiff of the function is wrong, and the rule with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import with_arguments

pytestmark = pytest.mark.usefixtures("a_users_jax")
X = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
CHECKS = ("contract", "gradient")


def softplus(x):
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


def log_of_sum(x):
    """The same as jax.numpy.logaddexp writes it: autodiff says 0 at 0."""
    return jnp.logaddexp(x, 0)


@pytest.mark.parametrize("at_zero", [0.0, 0.5])
@pytest.mark.parametrize("function", [softplus, log_of_sum])
def test_the_limit_beside_a_point_is_the_derivative(function, at_zero):
    def bwd(res, g):
        return (g * jnp.where(res[0] == 0, at_zero, jax.nn.sigmoid(res[0])),)

    report = verify.check(with_arguments(function, bwd), X, checks=CHECKS)
    assert report.ok is (at_zero == 0.5), report


def median(x):
    return jnp.median(x, -1)


def median_bwd(res, g):
    order, count = jnp.argsort(res[0], -1), res[0].shape[-1]
    first, second = (jax.nn.one_hot(order[:, k], count) for k in ((count - 1) // 2, count // 2))
    return (g[:, None] * (first + second) / 2,)


def largest_bwd(res, g):
    return (g[:, None] * jax.nn.one_hot(res[0].argmax(-1), res[0].shape[-1]),)


def absolute(x):
    return jnp.abs(x)


def largest_sinc(x):
    y = jnp.sinc(x)
    return jax.lax.top_k(y / jnp.sqrt(y * y + 0.1), 2)[0]


RIGHT = {
    "an entry wins at ties": (median, median_bwd),
    "a kink": (absolute, lambda res, g: (g * jnp.where(res[0] > 0, 1.0, -1.0),)),
    "a slope of 0": (lambda x: jnp.maximum(x, 0) ** 2, lambda res, g: (2 * g * jnp.maximum(res[0], 0),)),
    "a quotient that has no digits for subnormal numbers": (
        largest_sinc,
        lambda res, g: jax.vjp(largest_sinc, *res)[1](g),
    ),
    "a maximum of several": (lambda x: x.max(-1), largest_bwd),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_convention_is_no_limit(name):
    report = verify.check(with_arguments(*RIGHT[name]), X, checks=CHECKS)
    assert report.ok, report


@pytest.mark.parametrize("seed", [0, 4])
def test_a_median_of_equal_numbers_may_be_any_of_them(seed):
    def leaky(x, y):
        return jnp.median(jnp.maximum(x + y, 0.1 * (x + y)), -1)

    def bwd(res, g):
        return jax.vjp(leaky, *res)[1](g)

    x = np.random.default_rng(seed).standard_normal((2, 9)).astype(np.float32)
    report = verify.check(with_arguments(leaky, bwd), x, x[::-1] / 2, checks=CHECKS, seed=seed)
    assert report.ok, report
