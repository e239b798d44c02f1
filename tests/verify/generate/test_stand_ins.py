"""Numbers that a function returns in place of infinity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import LONG, with_arguments

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(0)
NOTHING = -1e30


def spelled(scores, label, length):
    """The log-probability of one label between blanks, of which there must be one at either end."""
    inner = (jnp.arange(len(scores)) > 0) & (jnp.arange(len(scores)) < length - 1)
    blanks = jnp.where(jnp.arange(len(scores)) < length, scores[:, 0], 0).sum()
    return blanks + jax.nn.logsumexp(jnp.where(inner, scores[:, label] - scores[:, 0], NOTHING))


def spelled_bwd(r, g, *, wrong):
    scores, label, length = r
    frames = jnp.arange(len(scores))
    inner = (frames > 0) & (frames < length - 1)
    exponents = jnp.where(inner, scores[:, label] - scores[:, 0], NOTHING)
    share = g * jnp.exp(exponents - jax.nn.logsumexp(exponents))
    below = g * (frames <= length if wrong else frames < length)
    bar = jnp.zeros_like(scores).at[:, 0].add(below - share)
    return bar.at[:, label].add(share), None, None


def all_spelled(scores, labels, lengths):
    return jax.vmap(spelled)(scores, labels, lengths)


@pytest.mark.parametrize("wrong", [True, False])
def test_a_length_that_no_path_has_is_no_call(wrong):
    """All frames share the label there, and to autodiff none has it."""

    def bwd(r, g):
        return jax.vmap(lambda *a: spelled_bwd(a[:3], a[3], wrong=wrong))(*r, g)

    scores = RNG.standard_normal((3, 3, 4)).astype(np.float32)
    labels, lengths = np.array([1, 3, 2], np.int32), np.array([3, 3, 3], np.int32)
    args = scores, labels, lengths
    report = verify.check(with_arguments(all_spelled, bwd), *args, checks=("gradient",), seconds=LONG)
    assert report.verdict == ("wrong" if wrong else "right"), report
