"""Calls in words, and tests made from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.report.finding import UncheckableError
from verify.spec import argument

from .faulty_rules.joined import joined


def product(a, b):
    return a * b


right = joined(product, lambda args, y, g: (g * args[1], g * args[0]))
wrong = joined(product, lambda args, y, g: (g * args[1], g))


@verify.parametrize(
    in_words=(right, product, "f32[3,4]", "f32[3,4]"),
    without_a_reference=(right, None, "bf16[5]", "bf16[5]"),
    as_arrays=(right, None, np.ones(3, np.float32), jnp.arange(3.0)),
)
def test_a_test_for_each_rule(rule, reference, args):
    assert len(args) == 2
    verify.assert_ok(rule, *args, reference=reference, cases=0)


@verify.parametrize(wrong=(wrong, None, "f32[3,4]", "f32[3,4]"))
def test_a_faulty_rule_fails_its_test_with_the_report(rule, reference, args):
    with pytest.raises(AssertionError, match=r"gradient: b\[\d, \d\]"):
        verify.assert_ok(rule, *args, reference=reference, cases=0)


def test_each_argument_has_numbers_of_its_own():
    mark = verify.parametrize(rule=(right, None, "f32[4]", "f32[4]")).mark
    assert mark.kwargs["ids"] == ["rule"]
    ((_, _, (a, b)),) = mark.args[1]
    assert not np.allclose(a, b)


def test_a_description_changes_no_setting_of_jax():
    assert argument("f64[2]").dtype == np.float64
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [
        ("f32[2,3]", (2, 3), "float32"),
        ("bf16[4]", (4,), "bfloat16"),
        ("f16[]", (), "float16"),
        ("i32[5]<7", (5,), "int32"),
    ],
)
def test_arguments_are_read(text, shape, dtype):
    value = argument(text)
    assert value.shape == shape
    assert value.dtype == jnp.dtype(dtype)


def test_other_arguments():
    np.testing.assert_allclose(argument("p32[3,4]").sum(1), 1, rtol=1e-6)
    assert argument("(3, 2)") == (3, 2)
    assert argument("0.5") == 0.5
    assert argument("key").shape == ()
    assert argument("i32[50]<3").max() == 2
    with pytest.raises(UncheckableError, match="f33"):
        argument("f33[2]")
