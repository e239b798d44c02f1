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


def twice(v, x):
    return 2 * symmetric(v, x)


SLOW = {"marks": pytest.mark.slow}


@pytest.mark.parametrize(
    ("matrix_bar", "verdict"),
    [
        pytest.param(plain, "right", **SLOW),
        (symmetric, "right"),
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
