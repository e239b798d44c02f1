"""In float64 a rule may round more than autodiff where its own program does; what no rounding explains is a fault."""

import jax
import numpy as np
import pytest

import verify
from tests.verify.rules import SLOPES

X = np.random.default_rng(0).standard_normal((5, 4))


# 500 g and 497 g round to a hundred times the roundoff of 3 g; a factor of 3 + 1.5e-14 is as far off.
@pytest.mark.parametrize(
    ("backward", "verdict"),
    [(lambda g: 3 * g, "right"), (lambda g: 500 * g - 497 * g, "right"), (lambda g: (3 + 1.5e-14) * g, "wrong")],
)
def test_the_rounding_of_the_rule_itself_is_no_fault(backward, verdict, x64):
    rule = jax.custom_vjp(lambda x: 3 * x)
    rule.defvjp(lambda x: (3 * x, None), lambda _, g: (backward(g),))
    report = verify.check(rule, X, checks=SLOPES)
    assert report.verdict == verdict, str(report)


@pytest.mark.parametrize(
    ("backward", "verdict"), [(lambda g: 500 * g - 497 * g, "right"), (lambda g: 3.00001 * g, "wrong")]
)
def test_in_float32_too(backward, verdict):
    rule = jax.custom_vjp(lambda x: 3 * x)
    rule.defvjp(lambda x: (3 * x, None), lambda _, g: (backward(g),))
    report = verify.check(rule, X.astype(np.float32), checks=SLOPES)
    assert report.verdict == verdict, str(report)
