"""Sums in 16 bits are asked of functions of every rank of output; a verdict is relative to the dtype of the call."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.call_under_test import CallUnderTest, with_cotangent
from verify.function_under_test import describe
from verify.generate.long_batch import long_batch

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)


def one_by_one(x):
    """Sums of columns, each addend met by a total in x's own dtype."""
    return jax.lax.scan(lambda total, row: (total + row, None), jnp.zeros_like(x[0]), x)[0]


def of_columns(columns):
    """A function of one number, whose rule sums columns in this way."""

    @jax.custom_vjp
    def total(x, b):
        return (x * b[None]).sum()

    total.defvjp(
        lambda x, b: (total(x, b), (x, b)),
        lambda r, g: (g * jnp.broadcast_to(r[1][None], r[0].shape), g * columns(r[0])),
    )
    return total


def checked(columns, dtype):
    x = X.astype(dtype)
    plain = lambda x, b: (x * b[None]).sum()  # noqa: E731
    report = verify.check(of_columns(columns), x, x[0], checks=("low precision",), reference=plain)
    assert [o.reason for o in report.outcomes] == [""]
    return report


def flipped_in_bfloat16(x):
    return x.sum(0) * (-1 if x.dtype == jnp.bfloat16 else 1)


def overflowing_in_float16(x):
    return (x.sum(0) * 7e4 / 7e4).astype(x.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, jnp.bfloat16])
def test_wide_sums_are_right(dtype):
    report = checked(lambda x: x.sum(0), dtype)
    assert not report.failures, report
    assert not any("low precision" in note for note in report.notes)


@pytest.mark.parametrize(
    ("columns", "dtype", "said"),
    [
        (one_by_one, jnp.bfloat16, "a sum accumulated in the narrow type"),
        pytest.param(flipped_in_bfloat16, jnp.bfloat16, "", marks=pytest.mark.slow),
        (overflowing_in_float16, np.float16, "not finite"),
    ],
)
def test_what_a_rule_loses_in_16_bits_is_wrong_of_a_call_in_them_and_a_note_of_others(columns, dtype, said):
    failures = checked(columns, dtype).failures
    assert failures
    assert said in failures[0].cause + failures[0].pattern
    for wide in (np.float32, np.float64):
        report = checked(columns, wide)
        assert not report.failures, report
        (note,) = [n for n in report.notes if f"in {jnp.dtype(dtype).name}, " in n]
        assert said in note


def test_what_is_wrong_of_a_long_batch_in_the_dtype_of_the_call_is_wrong():
    (found,) = checked(lambda x: x[:700].sum(0), np.float32).failures
    assert "1024" in found.case
    assert found.argument == "b"


@pytest.mark.parametrize(("function", "samples"), [(jax.scipy.linalg.toeplitz, 256), (jnp.cumsum, 1024)])
def test_a_batch_whose_samples_meet_in_threes_is_not_as_long(function, samples):
    """A Toeplitz matrix is a convolution by the identity: of 1,024 numbers it takes billions of operations."""
    tested = describe(function, (X[:, 0],), None, None)
    example = with_cotangent(CallUnderTest(tested, "", (X[:, 0],), {}, 0, example=True), np.random.default_rng(0))
    assert long_batch(example).arrays[0].size == samples
