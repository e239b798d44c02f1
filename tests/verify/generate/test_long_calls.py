"""Blocks of a rule are found in its code, and exceeded by one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import one_in
from tests.verify.rules import LONG, with_arguments
from verify.checking import _example
from verify.function_under_test import describe
from verify.generate.long_calls import blocks, exact, long_cases

pytestmark = pytest.mark.usefixtures("a_users_jax")
X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
TILE = 1024


def sin(x):
    return jnp.sin(x)


def cosine(r, g):
    return g * jnp.cos(r[0])


def first(block, bar):
    return jnp.where(jnp.arange(bar.shape[-1]) < block, bar, 0)


def written(r, g):
    return (first(512, cosine(r, g)),)


def named(r, g):
    return (first(TILE, cosine(r, g)),)


def closed_over(block):
    return lambda r, g: (first(block, cosine(r, g)),)


def by_default(r, g, block=2048):
    return (first(block, cosine(r, g)),)


FAULTS = {
    "written": (written, [512]),
    "a constant of the module": (named, [1024]),
    "closed over": (closed_over(768), [768]),
    "a default": (by_default, [2048]),
    "by functools.partial": (functools.partial(by_default, block=320), [2048, 320]),
}


@pytest.mark.parametrize("fault", one_in(2, FAULTS))
def test_a_fault_beyond_one_block_is_seen(fault):
    bwd, sizes = FAULTS[fault]
    rule = with_arguments(sin, bwd)
    assert blocks(rule) == sizes
    report = verify.check(rule, X, checks=("gradient",), seconds=LONG)
    assert report.verdict == "wrong"
    assert "[4,513]" in report.failures[0].case or fault != "written"


@pytest.mark.parametrize("factor", [0.5, 1.0])
def test_a_branch_for_one_width_is_tried(factor):
    def bwd(r, g):
        return (cosine(r, g) * (factor if r[0].shape[1] == 64 else 1.0),)

    rule = with_arguments(sin, bwd)
    assert exact(rule) == [64]
    report = verify.check(rule, X, checks=("gradient",), seconds=LONG)
    assert report.ok is (factor == 1), report
    assert any("[64,64]" in o.case for o in report.outcomes)


def test_a_rule_in_blocks_that_forgets_nothing_is_right():
    def bwd(r, g):
        bar = cosine(r, g)
        parts = [bar[:, n : n + 512] for n in range(0, bar.shape[1], 512)]
        return (jnp.concatenate(parts, 1),)

    rule = with_arguments(sin, bwd)
    assert blocks(rule) == [512]
    report = verify.check(rule, X, checks=("contract", "gradient"), seconds=LONG)
    assert report.ok, report
    assert any("[4,513]" in o.case for o in report.outcomes)


def test_what_a_sum_does_not_lose_is_not_blamed_on_one():
    rule = with_arguments(sin, lambda r, g: (jnp.where(jnp.arange(len(g))[:, None] < 768, cosine(r, g), 0),))
    (found,) = verify.check(rule, X, cases=0, checks=("gradient", "low precision"), seconds=LONG).failures
    assert "batch 1024" in found.case
    assert "remainder that windows or blocks do not reach" in found.cause


@pytest.mark.parametrize("rule", [jax.nn.gelu, jnp.sin, functools.partial(jnp.sum, axis=0), len, 3])
def test_whatever_is_called_has_blocks_or_none(rule):
    assert all(n % 64 == 0 for n in blocks(rule))


def test_no_call_has_outputs_far_larger_than_its_arguments():
    """All axes long, an outer product would have 4 billion entries."""
    example = _example(describe(jnp.outer, (X, X)), "example", 0)
    assert all(case.y_bar[0].size <= 10_000_000 for case in long_cases(example))


@pytest.mark.parametrize("columns", [64, None])
def test_an_attention_is_asked_beyond_a_block_of_each_axis(columns):
    """With the row sums of its output times the cotangent over one block of values."""

    def attention(q, k, v):
        return jax.nn.softmax(q @ k.T) @ v

    def bwd(r, g):
        q, k, v = r
        p = jax.nn.softmax(q @ k.T)
        sums = ((p @ v) * g)[:, :columns].sum(-1, keepdims=True)
        s = p * (g @ v.T - sums)
        return s @ k, s.T @ q, p.T @ g

    q, k, v = (np.random.default_rng(1).standard_normal(s).astype(np.float32) for s in ((5, 4), (6, 4), (6, 3)))
    report = verify.check(with_arguments(attention, bwd), q, k, v, checks=("contract", "gradient"), seconds=LONG)
    assert report.ok is (columns is None), report
