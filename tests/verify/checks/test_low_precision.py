"""Sums in 16 bits are asked of functions of every rank of output."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)


def one_by_one(x):
    """Sums of columns, each addend met by a total in x's own dtype."""
    return jax.lax.scan(lambda total, row: (total + row, None), jnp.zeros_like(x[0]), x)[0]


@pytest.mark.parametrize(
    ("columns", "verdict"), [(lambda x: x.sum(0), "right"), (one_by_one, "wrong")], ids=["wide", "narrow"]
)
def test_a_function_of_one_number_is_asked_too(columns, verdict):
    @jax.custom_vjp
    def total(x, b):
        return (x * b[None]).sum()

    total.defvjp(
        lambda x, b: (total(x, b), (x, b)),
        lambda r, g: (g * jnp.broadcast_to(r[1][None], r[0].shape), g * columns(r[0])),
    )
    report = verify.check(total, X, X[0], checks=("low precision",), reference=lambda x, b: (x * b[None]).sum())
    assert [o.reason for o in report.outcomes] == [""]
    assert bool(report.failures) == (verdict == "wrong"), report
