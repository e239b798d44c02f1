"""The oracles: what is right passes, the smallest fault does not, and the oracles do not share a mistake."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.catalogue import SUBJECTS, named
from tests.oracles.agreement import AUTODIFF, LOOPS, ORACLES, assert_agrees, assert_close, assert_rejected, at_defaults

DENSE = named("dense")


def test_a_right_rule_is_not_rejected():
    with pytest.raises(AssertionError, match=r"dense: dense_bwd passes: .* did not notice"):
        assert_rejected(DENSE, DENSE.bwd)


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_wrong_entry_is_enough(oracle, position):
    def one_entry_off(residuals, y_bar):
        bars = list(DENSE.bwd(residuals, y_bar))
        bars[position] = bars[position].at[(-1,) * bars[position].ndim].add(1e-6)
        return tuple(bars)

    assert_rejected(DENSE, one_entry_off, oracles=(oracle,))


def test_a_missing_or_additional_cotangent_is_noticed():
    def bias_forgotten(residuals, y_bar):
        return (*DENSE.bwd(residuals, y_bar)[:2], None)

    def two_cotangents(residuals, y_bar):
        return DENSE.bwd(residuals, y_bar)[:2]

    for faulty in (bias_forgotten, two_cotangents):
        assert_rejected(DENSE, faulty)


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_autodiff_and_loops_agree_without_our_rule(subject, x64):
    _, _, by_autodiff = at_defaults(subject, AUTODIFF)
    _, _, by_loops = at_defaults(subject, LOOPS)
    assert_agrees(subject, by_autodiff, LOOPS, by_loops, 1e-12)


@pytest.mark.parametrize(
    ("got", "expected"),
    [([1.0, 2.0], [[1.0, 2.0]]), ([np.nan], [1.0]), ([1.0], [np.nan]), ([np.inf], [1.0]), ([1e-9], [0.0])],
)
def test_shapes_nans_infinities_and_zeros_are_compared(got, expected):
    with pytest.raises(AssertionError):
        assert_close(jnp.array(got), jnp.array(expected), 1e-3)
