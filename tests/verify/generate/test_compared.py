"""Integers that the function tells apart, and the example does not hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.verify.rules import assert_only_the_fault_is_seen
from verify.checking import _example
from verify.function_under_test import describe
from verify.generate import compared

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(4)
X = RNG.standard_normal((5, 4)).astype(np.float32)
LABELS = np.array([0, 3, 2, 1, 2], np.int32)
CHECKS = ("contract", "gradient", "forward")


def kept(labels):
    return labels != -100


def cross_entropy(z, labels):
    of_label = jnp.take_along_axis(jax.nn.log_softmax(z), jnp.where(kept(labels), labels, 0)[:, None], 1)[:, 0]
    return -jnp.where(kept(labels), of_label, 0).sum() / jnp.maximum(kept(labels).sum(), 1)


def cross_entropy_bwd(res, g, *, wrong):
    z, labels = res
    count = len(labels) if wrong else jnp.maximum(kept(labels).sum(), 1)
    z_bar = jax.nn.softmax(z) - jax.nn.one_hot(labels, z.shape[1], dtype=z.dtype)
    return jnp.where(kept(labels)[:, None], z_bar, 0) * g / count, None


def of_pages(pages, table):
    return jnp.where((table >= 0)[:, None], pages[table], 0)


def of_pages_bwd(res, g, *, wrong):
    pages, table = res
    taken = g if wrong else jnp.where((table >= 0)[:, None], g, 0)
    return jnp.zeros_like(pages).at[table].add(taken), None


def masked(x, mask):
    return jnp.where(mask[:, None] == 0, 0, x * x)


def masked_bwd(res, g, *, wrong):
    x, mask = res
    return 2 * g * x * (1 if wrong else (mask != 0)[:, None]), None


FAULTS = {
    "a label that is left out": (cross_entropy, cross_entropy_bwd, X, LABELS),
    "a page that is none": (of_pages, of_pages_bwd, X, LABELS),
    "a mask of integers that is all 1": (masked, masked_bwd, X, np.ones(5, np.int32)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_integer_that_the_function_tells_apart_is_tried(fault):
    assert_only_the_fault_is_seen(*FAULTS[fault], checks=CHECKS)


@pytest.mark.parametrize(
    "rule",
    [
        lambda x, i: x[i],  # negative indices count from the end
        lambda x, i: jnp.where((i == 3)[:, None], 0, x),  # the example holds 3
        lambda x, i: x * jax.nn.one_hot(i, 4),
        lambda x, i: jnp.where((i % 2 == 5)[:, None], 0, x),
        lambda x, i: jnp.where((i >= 0)[:, None], x, jnp.nan),  # NaN says that it is no call
    ],
)
def test_no_other_integer_is(rule):
    example = _example(describe(rule, (X, LABELS), None, None), "example", 0)
    assert not list(compared.calls(example, example))


def test_unsigned_integers_stay_so():
    rule = lambda x, i: jnp.where((i.astype(jnp.int32) >= 0)[:, None], x, 0)  # noqa: E731
    example = _example(describe(rule, (X, LABELS.astype(np.uint8)), None, None), "example", 0)
    assert not list(compared.calls(example, example))
