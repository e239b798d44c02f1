"""What is found in a rule's own code."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from tests.verify.rules import assert_only_the_fault_is_seen
from verify.generate.own_code import words_beside, words_compared

pytestmark = pytest.mark.usefixtures("a_users_jax")
X, Y = np.random.default_rng(0).standard_normal((2, 4, 3)).astype(np.float32)
TABLE = {"total": jnp.sum, "average": jnp.mean}


def compared(x, y, *, kind="total"):
    square = ((x - y) ** 2).sum()
    return square / x.size if kind == "average" else square


def looked_up(x, y, *, kind="total"):
    return TABLE[kind]((x - y) ** 2)


def bwd(res, g, *, wrong, kind="total"):
    x, y = res
    bar = 2 * g * (x - y) / (x.size if kind == "average" and not wrong else 1)
    return bar, -bar


@pytest.mark.parametrize("function", [compared, looked_up])
def test_a_fault_of_another_word_is_seen(function):
    assert_only_the_fault_is_seen(function, bwd, X, Y, checks=("contract", "gradient"))


def test_words_stand_beside_the_one_that_is_given():
    def rule(x, kind="total"):
        return x if kind in ("parts", "part of it", "total") else -x

    assert words_beside(rule, "total") == ["parts"]
    assert words_beside(functools.partial(looked_up, X), "average") == ["total"]
    assert words_beside(rule, "none of them") == []


def test_words_are_those_that_the_option_is_compared_with():
    def inner(x, act=None):
        return jnp.tanh(x) if act in {"tanh", "swish"} else x if act != "in no words" else -x

    def rule(x, act=None, other="else"):
        return inner(x, act) if other == "here" else jnp.sum(x, axis={"axis": 0}["axis"])

    assert words_compared(rule, "act") == ["swish", "tanh", "in no words"]
    assert words_compared(rule, "other") == ["here"]
    assert words_compared(rule, "x") == []
