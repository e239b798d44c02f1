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
