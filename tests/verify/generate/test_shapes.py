"""Axes that take a multiple of the entries that they have in the example, and not one more."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import assert_only_the_fault_is_seen, with_arguments
from verify.checking import _example
from verify.function_under_test import describe
from verify.generate import shapes

pytestmark = pytest.mark.usefixtures("a_users_jax")
X = np.random.default_rng(0).standard_normal((3, 4, 2)).astype(np.float32)


def angles(x):
    pairs = x.shape[-1] // 2
    return jnp.arange(x.shape[-2])[:, None] * 100.0 ** (-jnp.arange(pairs) / pairs)


def turned(x, sign=1):
    """Rotary embedding: neighbours are a pair."""
    c, s = jnp.cos(angles(x)), sign * jnp.sin(angles(x))
    a, b = x[..., ::2], x[..., 1::2]
    return jnp.stack([a * c - b * s, b * c + a * s], -1)


@pytest.mark.parametrize("wrong", [True, False])
def test_more_pairs_than_the_one_of_the_example_are_tried(wrong):
    def bwd(r, g):
        back = turned(g, sign=-1)
        return ((back.swapaxes(-1, -2) if wrong else back).reshape(g.shape),)

    own = with_arguments(lambda x: turned(x).reshape(x.shape), bwd)
    assert verify.check(own, X, checks=("contract", "gradient")).verdict == ("wrong" if wrong else "right")


def attention(q, k, v, repeated=jnp.repeat):
    """As many heads of q as a multiple of those of k and v."""
    k, v = (repeated(a, q.shape[0] // k.shape[0]) for a in (k, v))
    return jax.nn.softmax(q @ k.swapaxes(-1, -2)) @ v


@pytest.mark.parametrize("wrong", [True, False])
def test_more_heads_of_the_keys_than_one_are_tried(wrong):
    repeat = lambda a, times: jnp.repeat(a, times, 0)  # noqa: E731
    tile = lambda a, times: jnp.tile(a, (times, 1, 1))  # noqa: E731
    backward = functools.partial(attention, repeated=tile if wrong else repeat)
    own = with_arguments(lambda *a: attention(*a, repeated=repeat), lambda r, g: jax.vjp(backward, *r)[1](g))
    q, k = np.random.default_rng(1).standard_normal((2, 4, 5, 2)).astype(np.float32)
    report = verify.check(own, q, k[:1], k[1:2], checks=("contract", "gradient"))
    assert report.verdict == ("wrong" if wrong else "right"), report


def rectified(x, slopes):
    return jnp.where(x > 0, x, slopes[:, None] * x)


def rectified_bwd(r, g, *, wrong):
    """`wrong`: slopes along the last axis where they are as many."""
    x, slopes = r
    each = slopes if wrong and len(slopes) == x.shape[-1] else slopes[:, None]
    return jnp.where(x > 0, g, each * g), jnp.where(x > 0, 0, g * x).sum((0, 2))


def test_all_sizes_are_alike_once():
    x, slopes = np.random.default_rng(0).standard_normal((2, 3, 5)), np.array([0.5, 1.2, 0.8])
    arrays = (a.astype(np.float32) for a in (x, slopes))
    assert_only_the_fault_is_seen(rectified, rectified_bwd, *arrays, checks=("contract", "gradient"))


def test_heads_that_others_share_are_twice_as_many_beside_a_flag():
    def attention(q, k):
        return jnp.einsum("hq,hk->hqk", q, jnp.repeat(k, q.shape[0] // k.shape[0], 0).reshape(q.shape[0], -1))

    case = _example(describe(attention, (np.ones((4, 3), np.float32), np.ones((2, 5), np.float32)), None, None), "", 0)
    classes = shapes.free_classes(case)
    assert shapes.with_a_rest(case, classes, [(4, 3), (2, 5)]) == [(8, 3), (4, 5)]


def test_what_a_kernel_reads_a_part_of_is_as_long_as_its_cotangent():
    """With as many rows as columns the function takes fewer columns alone: its blocks read the first scales."""
    from jax.experimental import pallas as pl

    def kernel(x_ref, s_ref, o_ref):
        o_ref[...] = x_ref[...] * s_ref[...]

    def times(x, s):
        row, scale = (pl.BlockSpec((1, x.shape[1]), at) for at in (lambda i: (i, 0), lambda i: (0, 0)))
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return pl.pallas_call(
            kernel, shape, grid=x.shape[:1], in_specs=[row, scale], out_specs=row, interpret=True, name="times"
        )(x, s[None])

    rule = jax.custom_vjp(times)
    rule.defvjp(lambda x, s: (times(x, s), (x, s)), lambda res, g: (times(g, res[1]), (g * res[0]).sum(0)))
    x = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
    assert shapes.free_classes(_example(describe(rule, (x, x[0]), None, None), "", 0)) == [((0, 0),), ((0, 1), (1, 0))]
