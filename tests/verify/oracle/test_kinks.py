"""One-sided slopes next to thousands of kinks, against the exact count of them."""

import jax
import numpy as np
import pytest

from verify import suite
from verify.case import Case, with_cotangent
from verify.oracle import kinks
from verify.subject import describe

from ..seeds import alarms


@pytest.mark.parametrize("seed", range(6))
def test_slopes_among_thousands_of_kinks_are_within_their_error_bar(seed):
    rng = np.random.default_rng(seed)
    x = np.where(rng.random(30_000) < 0.1, 0, rng.standard_normal(30_000)).astype(np.float32)
    subject = describe(jax.nn.relu, (x,), None, None)
    case = with_cotangent(Case(subject, "", (x,), {}, 0, example=True), rng)
    found = kinks.slopes(case, [np.ones(x.shape)], (np.ones(x.shape, np.float32),))
    assert abs(found.left - (x > 0).sum()) <= 3 * found.bar
    assert abs(found.right - (x >= 0).sum()) <= 3 * found.bar
    assert found.bar < 1e-3 * x.size, "so wide a bar says nothing"
    assert found.kink


def test_a_float32_counter_inside_a_rule_does_not_blur_what_its_differences_tell():
    pool = next(e for e in suite.ENTRIES if e.name == "max_pool2d")
    assert alarms(pool.rule, pool.args, None, range(1, 2), every_content=10) == []
