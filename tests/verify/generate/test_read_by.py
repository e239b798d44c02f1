"""A permutation that is the identity in the example, and positions whose order is meant."""

import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import with_arguments

pytestmark = pytest.mark.usefixtures("a_users_jax")
X = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
ORDER = np.arange(5, dtype=np.int32)


@pytest.mark.parametrize("wrong", [True, False])
def test_the_identity_hides_no_permutation_for_its_inverse(wrong):
    def bwd(r, g):
        order = r[1]
        return (g[order] if wrong else jnp.zeros_like(g).at[order].set(g)), None

    own = with_arguments(lambda x, order: x[order], bwd)
    report = verify.check(own, X, ORDER, checks=("contract", "gradient"))
    assert report.verdict == ("wrong" if wrong else "right"), report


def test_what_is_computed_with_stays_in_order():
    """A rule for increasing positions."""

    def turned(x, at):
        return x * jnp.cos(at)[:, None]

    own = with_arguments(turned, lambda r, g: (g * jnp.cos(jnp.sort(r[1]))[:, None], None))
    assert verify.check(own, X, ORDER, checks=("contract", "gradient")).ok


@pytest.mark.parametrize("wrong", [True, False])
def test_positions_that_begin_at_0_in_the_example_need_not(wrong):
    def turned(x, at):
        return x * jnp.cos(at.astype(x.dtype))[:, None]

    own = with_arguments(turned, lambda r, g: (turned(g, jnp.arange(len(g)) if wrong else r[1]), None))
    report = verify.check(own, X, ORDER, checks=("contract", "gradient"))
    assert report.verdict == ("wrong" if wrong else "right"), report


def test_rows_that_are_read_and_labels_of_two_classes_begin_at_0():
    own = with_arguments(lambda x, at: x[at] * at[:, None], lambda r, g: (g * jnp.arange(len(g))[:, None], None))
    assert verify.check(own, X, ORDER, checks=("contract", "gradient")).ok
    half = with_arguments(lambda x, y: x * y[:, None], lambda r, g: (g * jnp.array([[0], [1]]), None))
    assert verify.check(half, X[:2], ORDER[:2], checks=("contract", "gradient"), cases=0).ok
