"""What is allowed where the error analysis of the function has no number."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from tests.verify.rules import with_arguments
from verify.call_under_test import CallUnderTest, with_cotangent
from verify.checks import adjoint
from verify.function_under_test import describe


@pytest.mark.parametrize("factor", [1, 1.001])
def test_an_error_bound_that_is_nan_is_none(factor):
    rule = with_arguments(lambda x: jnp.sin(x) * x, lambda r, g: (factor * g * (jnp.sin(r[0]) + jnp.cos(r[0]) * r[0]),))
    rng = np.random.default_rng(0)
    x = rng.standard_normal(5).astype(np.float32)
    case = with_cotangent(CallUnderTest(describe(rule, (x,), None, None), "", (x,), {}, 0, example=True), rng)
    magnitudes = [np.where(np.arange(5) == 2, np.nan, m) for m in case.truth.magnitudes]
    case.__dict__["remembered"]["truth"] = replace(case.truth, magnitudes=magnitudes)
    assert bool(adjoint.findings(case)) is (factor != 1)
