"""The cotangent of a matrix that is symmetric: autodiff's, or its symmetric part."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import SLOPES

SPD = np.array([[2, 0.5, 0.1], [0.5, 3, -1], [0.1, -1, 4]], np.float32)
B = np.array([0.3, -1.2, 0.8], np.float32)


def plain(v, x):
    return -jnp.outer(v, x)


def symmetric(v, x):
    return (plain(v, x) + plain(x, v)) / 2


def transposed(v, x):
    return plain(x, v)


def nearly(v, x):
    """As a solver's that stops at a tolerance."""
    return (1 + 1e-9) * symmetric(v, x)


def coarsely(v, x):
    return (1 + 1e-4) * symmetric(v, x)


def twice(v, x):
    return 2 * symmetric(v, x)


SLOW = {"marks": pytest.mark.slow}


@pytest.mark.parametrize(
    ("matrix_bar", "verdict"),
    [
        pytest.param(plain, "right", **SLOW),
        (symmetric, "right"),
        (nearly, "right"),
        (coarsely, "wrong"),
        (transposed, "wrong"),
        pytest.param(twice, "wrong", **SLOW),
    ],
)
def test_the_symmetric_part_is_right_and_a_transpose_is_not(matrix_bar, verdict):
    rule = jax.custom_vjp(jnp.linalg.solve)

    def bwd(res, g):
        a, x = res
        v = jnp.linalg.solve(a, g)
        return matrix_bar(v, x), v

    rule.defvjp(lambda a, b: (rule(a, b), (a, rule(a, b))), bwd)
    assert verify.check(rule, SPD, B, checks=SLOPES).verdict == verdict


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.1, "wrong")])
def test_where_the_function_reads_the_symmetric_part_alone_any_cotangent_with_it_is_right(factor, verdict):
    """b'A⁻¹b by Cholesky, whose cotangent by the formula is as little symmetric as ȳ is."""

    def form(a, b):
        return b.T @ jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(a, lower=True), b)

    def bwd(res, g):
        a, b = res
        x = jnp.linalg.solve(a, b)
        return -factor * x @ g @ x.T, x @ (g + g.T)

    rule = jax.custom_vjp(lambda a, b: form(a, b))
    rule.defvjp(lambda a, b: (form(a, b), (a, b)), bwd)
    b = np.stack([B, B[::-1] + 1], 1)
    assert verify.check(rule, SPD, b, cases=0, checks=("gradient", "adjoint")).verdict == verdict
