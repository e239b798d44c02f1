"""One-sided slopes next to thousands of kinks, compared with the exact slopes."""

import jax
import numpy as np
import pytest

from verify.call_under_test import CallUnderTest, with_cotangent
from verify.function_under_test import describe
from verify.oracle.one_sided import slopes


@pytest.mark.parametrize("seed", range(6))
def test_slopes_among_thousands_of_kinks_are_within_their_error_bar(seed):
    rng = np.random.default_rng(seed)
    x = np.where(rng.random(30_000) < 0.1, 0, rng.standard_normal(30_000)).astype(np.float32)
    tested = describe(jax.nn.relu, (x,), None, None)
    case = with_cotangent(CallUnderTest(tested, "", (x,), {}, 0, example=True), rng)
    found = slopes(case, [np.ones(x.shape)], (np.ones(x.shape, np.float32),))
    assert abs(found.left - (x > 0).sum()) <= 3 * found.bar
    assert abs(found.right - (x >= 0).sum()) <= 3 * found.bar
    assert found.bar < 1e-3 * x.size, "so wide a bar says nothing"
    assert found.kink
