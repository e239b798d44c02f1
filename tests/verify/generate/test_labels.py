"""What an option ignores is among the labels of the call that has it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import with_arguments
from verify.checking import _example
from verify.function_under_test import describe
from verify.generate import labels

pytestmark = pytest.mark.usefixtures("a_users_jax")
TABLE = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
TOKENS = np.array([[0, 5], [3, 5]], np.int32)


def embedded(table, tokens, padding_idx=None):
    rows = table[tokens]
    return rows if padding_idx is None else jnp.where((tokens == padding_idx)[..., None], 0, rows)


def rule(wrong):
    own = jax.custom_vjp(embedded, nondiff_argnums=(2,))

    def bwd(padding_idx, tokens, g):
        kept = g if wrong or padding_idx is None else jnp.where((tokens == padding_idx)[..., None], 0, g)
        return jnp.zeros_like(TABLE, g.dtype).at[tokens].add(kept), None

    own.defvjp(lambda table, tokens, padding_idx: (embedded(table, tokens, padding_idx), tokens), bwd)
    return own


@pytest.mark.parametrize("wrong", [True, False])
def test_a_padding_that_is_forgotten_backward_is_seen(wrong):
    report = verify.check(rule(wrong), TABLE, TOKENS, checks=("gradient",))
    assert report.verdict == ("wrong" if wrong else "right"), report


def test_a_label_is_put_where_there_is_none_and_may_be_one():
    example = _example(describe(functools.partial(embedded, padding_idx=None), (TABLE, TOKENS), None, None), "", 0)
    assert labels.of(example, "padding_idx") == [3]
    assert not labels.of(example, "axis")
    assert labels.held(example, {"padding_idx": 1}).arrays[1].tolist() == [[1, 5], [3, 5]]
    for label in (5, 7, -100, None, True):
        assert labels.held(example, {"padding_idx": label}).arrays[1].tolist() == TOKENS.tolist()


@pytest.mark.parametrize("wrong", [True, False])
def test_lengths_that_differ_stay_above_0(wrong):
    """The state before the first step is no output, and JAX reads the last one in its place."""

    def last(x, lengths):
        return jnp.cumsum(x, 1)[jnp.arange(len(x)), lengths - 1]

    def bwd(r, g):
        x, lengths = r
        end = lengths + 1 if wrong else lengths
        return jnp.where(jnp.arange(x.shape[1]) < end[:, None], g[:, None], 0), None

    x, lengths = np.random.default_rng(1).standard_normal((5, 12)).astype(np.float32), np.array([12, 9, 10, 7, 11], "i")
    report = verify.check(with_arguments(last, bwd), x, lengths, checks=("gradient",))
    assert report.verdict == ("wrong" if wrong else "right"), report
