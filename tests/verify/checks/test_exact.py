"""Exact integers are of the domain that the example shows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify


def quadratic(x, a):
    return x @ a @ x


@pytest.mark.parametrize(("factor", "right"), [(2, True), (1, False)])
def test_a_matrix_that_is_symmetric_in_the_example_holds_symmetric_integers(factor, right):
    rule = jax.custom_vjp(quadratic)
    rule.defvjp(
        lambda x, a: (quadratic(x, a), (x, a)),
        lambda r, g: (factor * g * (r[1] @ r[0]), g * jnp.outer(r[0], r[0])),
    )
    symmetric = np.array([[2, 1, 0], [1, 3, -1], [0, -1, 4]], np.float32)
    report = verify.check(rule, np.ones(3, np.float32), symmetric, checks=("exact",), cases=0)
    assert [o.status for o in report.outcomes] == ["passed" if right else "failed"]
