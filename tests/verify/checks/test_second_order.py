"""Of a second derivative that autodiff knows in some elements, those alone are compared."""

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
