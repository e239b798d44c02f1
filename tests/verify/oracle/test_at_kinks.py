"""What is said of a rule at kinks, of functions whose slopes there are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.call_under_test import CallUnderTest, with_cotangent
from verify.function_under_test import describe
from verify.oracle import at_kinks

RNG = np.random.default_rng(0)
SMOOTH = RNG.standard_normal((12, 20)).astype(np.float32)
ONE_ZERO = np.where(np.arange(300) == 123, 0, RNG.standard_normal(300)).astype(np.float32)
TIED = np.array([[1, 3, 3, 2]], np.float32)


def case(rule, *arrays):
    given = CallUnderTest(describe(rule, arrays, None, None), "", arrays, {}, 0, example=True)
    return with_cotangent(given, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("rule", "arrays", "said"),
    [
        (jax.nn.relu, (ONE_ZERO,), "x: the left slope, at every kink"),
        (lambda x: jnp.where(x >= 0, x, 0), (ONE_ZERO,), "x: the right slope, at every kink"),
        (lambda a, x: jnp.tanh(a).sum() * jax.nn.relu(x), (SMOOTH, ONE_ZERO), "x: the left slope, at every kink"),
        (lambda x: jnp.max(x, 1), (TIED,), "x: 0.5 of the way from the left to the right slope"),
        (lambda x: jax.nn.relu(x) + jax.nn.relu(-x), (SMOOTH,), ""),
    ],
)
def test_the_kinks_are_found_and_named(rule, arrays, said):
    assert at_kinks.convention(case(rule, *arrays)) == said


def test_an_argument_without_kinks_is_not_looked_at_element_by_element(monkeypatch):
    values, value = [], CallUnderTest.value
    monkeypatch.setattr(CallUnderTest, "value", lambda self, *args: values.append(1) or value(self, *args))
    assert at_kinks.convention(case(lambda x: jnp.tanh(x) * x, SMOOTH)) == ""
    assert len(values) < 30, "240 elements"


def _symmetric(a):
    if not np.allclose(a, a.T):
        raise ValueError("a matrix that is not symmetric")
    return a


def of_symmetric(a):
    return jax.pure_callback(_symmetric, jax.ShapeDtypeStruct(a.shape, a.dtype), a, vmap_method="sequential")


def test_a_function_that_refuses_what_lies_beside_the_example_does_not_end_the_check():
    rule = jax.custom_vjp(lambda a: of_symmetric(a) * 2)
    rule.defvjp(lambda a: (rule(a), None), lambda _, g: (2 * g,))
    report = verify.check(rule, SMOOTH[:, :12] @ SMOOTH[:, :12].T, cases=0)
    assert "the check itself failed" not in report.because, report
