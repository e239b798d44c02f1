"""Of a second derivative that autodiff knows in some elements, those alone are compared."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import with_arguments


def log_sum(x, mask):
    return jnp.log(jnp.where(mask, jnp.exp(x), 0).sum(-1))


def weights(factor):
    """The softmax of what is not masked, 0 in a row without anything; its derivative times `factor`."""

    def softmax(x, mask):
        e = jnp.where(mask, jnp.exp(x), 0)
        s = e.sum(-1, keepdims=True)
        return e / jnp.where(s > 0, s, 1)

    def bwd(r, g):
        p = softmax(*r)
        return factor * p * (g - (p * g).sum(-1, keepdims=True)), None

    return with_arguments(softmax, bwd)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.001, "wrong")])
def test_autodiff_of_an_empty_row_is_nan_and_says_nothing_of_the_other_rows(factor, verdict):
    rule = with_arguments(log_sum, lambda r, g: (g[:, None] * weights(factor)(*r), None))
    x = np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32)
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]], bool)
    report = verify.check(rule, x, mask, checks=("gradient", "second order"), cases=0)
    assert report.verdict == verdict, report


@pytest.mark.parametrize("factor", [1, 2])
def test_a_rule_may_rely_on_rows_of_norm_one(factor):
    """The cosine with directions of norm 1, by which the rule does not divide."""

    def cosine(d, x):
        return (d * x).sum(1) / jnp.sqrt((x**2).sum(1)) / jnp.sqrt((d**2).sum(1))

    def bwd(r, g):
        d, x = r
        along = x / jnp.sqrt((x**2).sum(1))[:, None]
        c = (d * along).sum(1)[:, None]
        return g[:, None] * (along - d * c), factor * g[:, None] * (d - c * along) / jnp.sqrt((x**2).sum(1))[:, None]

    rng = np.random.default_rng(0)
    d, x = rng.standard_normal((2, 4, 3)).astype(np.float32)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    report = verify.check(with_arguments(cosine, bwd), d, x, checks=("gradient", "second order"))
    assert report.ok is (factor == 1), report


def squares(x, reduction="mean"):
    return (x**3).mean() if reduction == "mean" else (x**3).sum()


@pytest.mark.parametrize("faulty", [True, False])
def test_a_backward_rule_of_rules_is_asked_twice_with_each_option(faulty):
    @partial(jax.custom_vjp, nondiff_argnums=(2,))
    def bar(x, g, reduction):
        return 3 * g * x**2 / (x.size if reduction == "mean" else 1)

    def bar_bwd(reduction, res, u):
        (x, g), size = res, res[0].size if reduction == "mean" or faulty else 1
        return 6 * u * g * x / size, (3 * u * x**2).sum() / (x.size if reduction == "mean" else 1)

    bar.defvjp(lambda x, g, reduction: (bar(x, g, reduction), (x, g)), bar_bwd)
    own = jax.custom_vjp(squares, nondiff_argnums=(1,))
    own.defvjp(lambda x, reduction: (squares(x, reduction), x), lambda reduction, x, g: (bar(x, g, reduction),))

    def rule(x, reduction="mean"):
        return own(x, reduction)

    x = np.random.default_rng(3).standard_normal(5).astype(np.float32)
    report = verify.check(rule, x, checks=("contract", "gradient", "second order"))
    assert report.verdict == ("wrong" if faulty else "right"), report


@pytest.mark.parametrize("wrong", [True, False])
def test_a_slope_that_is_written_with_a_sign_has_no_other_slope_at_0(wrong):
    """sign(x) tanh(|x|) is tanh(x), and its derivative at 0 by autodiff is 0."""

    def log_cosh(x):
        return jnp.log(jnp.cosh(x))

    def bwd(r, g):
        (x,) = r
        return (g * (jnp.sign(x) * jnp.tanh(jnp.abs(x)) if wrong else jnp.tanh(x)),)

    x = np.array([0, 0.5, -1.2, 2], np.float32)
    report = verify.check(with_arguments(log_cosh, bwd), x, checks=("gradient", "second order"))
    assert report.ok is not wrong, report


@pytest.mark.parametrize("wrong", [True, False])
def test_a_second_derivative_is_asked_for_with_a_stride(wrong):
    """The backward rule is a rule itself, whose own backward rule forgets the stride."""

    def strided(x, stride):
        return x[:, ::stride] ** 2

    def rule(x, stride=1):
        spread = jax.custom_vjp(lambda x, g: jnp.zeros_like(x).at[:, ::stride].set(2 * g * x[:, ::stride]))

        def spread_bwd(r, t):
            x, g = r
            every = slice(None, None, 1 if wrong else stride)
            by_g = 2 * (t * x)[:, every][:, : g.shape[1]]
            return jnp.zeros_like(x).at[:, ::stride].set(2 * g * t[:, ::stride]), by_g

        spread.defvjp(lambda x, g: (spread(x, g), (x, g)), spread_bwd)
        return with_arguments(lambda x: strided(x, stride), lambda r, g: (spread(r[0], g),))(x)

    x = np.random.default_rng(6).standard_normal((2, 6)).astype(np.float32)
    report = verify.check(rule, x, checks=("contract", "gradient", "second order"), seconds=600)
    assert report.ok is not wrong, report
