"""Faults of public bug reports that went by unseen, or were explained wrongly, each beside its right twin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import one_in
from tests.verify.rules import LONG, assert_only_the_fault_is_seen, joined

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(11)
CHECKS = ("contract", "gradient")


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def dropped(x, key):
    return jnp.where(jax.random.bernoulli(key, 0.7, x.shape), x / 0.7, 0)


def dropped_bwd(res, g, *, wrong):
    return dropped(g, jax.random.key(0) if wrong else res[1]), None


def dropped_raw_bwd(res, g, *, wrong):
    return dropped(g, jax.random.PRNGKey(0) if wrong else res[1]), None


def heads_multiplied(q, k, *, heads=2):
    per_head = (q * k).reshape(len(q), heads, q.shape[1] // heads)
    return per_head.sum(-1) / (q.shape[1] // heads) ** 0.5


def heads_multiplied_bwd(res, g, *, wrong, heads=2):
    q, k = res
    width = q.shape[1] // heads
    g = jnp.repeat(g / (q.shape[1] / 2 if wrong else width) ** 0.5, width, 1)
    return g * k, g * q


def written(cache, rows, position):
    return jax.lax.dynamic_update_slice(cache, rows, (position, 0))


def written_bwd(res, g, *, wrong):
    _, rows, position = res
    at = (0 if wrong else position, 0)
    return jax.lax.dynamic_update_slice(g, jnp.zeros_like(rows), at), jax.lax.dynamic_slice(g, at, rows.shape), None


def rms_in_float32(x):
    wide = x.astype(jnp.float32)
    return (wide / jnp.sqrt((wide**2).mean(-1, keepdims=True))).astype(x.dtype)


def rms_bwd(res, g, *, wrong):
    """Squares of some hundreds are infinite in float16, and x̄ is 0."""
    x, dtype = res[0], res[0].dtype
    if not wrong:
        x, g = x.astype(jnp.float32), g.astype(jnp.float32)
    size = jnp.sqrt((x * x).mean(-1, keepdims=True))
    return ((g / size - x / size * ((g * x / size).mean(-1, keepdims=True) / size)).astype(dtype),)


UNSEEN = {
    "the key 0 in the rule, which the example has too": (dropped, dropped_bwd, normal(5, 6), jax.random.key(0)),
    "a raw key": (dropped, dropped_raw_bwd, normal(5, 6), jax.random.PRNGKey(0)),
    "two heads in the rule, one more does not divide": (
        *(heads_multiplied, heads_multiplied_bwd, normal(4, 8), normal(4, 8)),
    ),
    "position 0 in the rule, which the example has too": (
        *(written, written_bwd, normal(6, 3), normal(2, 3), np.int32(0)),
    ),
    "an overflow in float16": (rms_in_float32, rms_bwd, (300 * normal(4, 6)).astype(np.float16)),
}


@pytest.mark.parametrize("fault", one_in(2, UNSEEN))
def test_is_seen_and_its_right_twin_passes(fault):
    assert_only_the_fault_is_seen(*UNSEEN[fault], checks=CHECKS)


def triplet(a, p, n):
    return jax.nn.relu(((a - p) ** 2).sum(-1) - ((a - n) ** 2).sum(-1) + 0.5)


def triplet_without_margin(res, g, *, wrong):
    a, p, n = res
    apart = ((a - p) ** 2).sum(-1) - ((a - n) ** 2).sum(-1)
    g = (g * (apart + (0 if wrong else 0.5) > 0))[:, None]
    return 2 * g * (n - p), 2 * g * (p - a), 2 * g * (a - n)


def with_sum(q, k):
    scores = q @ k.T
    return jax.nn.softmax(scores), jax.nn.logsumexp(scores, -1)


def with_sum_bwd(res, cotangents, *, wrong):
    """The second output, which people add to a flash attention later."""
    q, k = res
    (g, of_sum), p = cotangents, jax.nn.softmax(q @ k.T)
    ds = p * (g - (g * p).sum(-1, keepdims=True) + (0 if wrong else of_sum[:, None]))
    return ds @ k, ds.T @ q


def rotated(x, sign=1.0):
    angles = jnp.arange(x.shape[0])[:, None] * 0.3
    a, b = x[:, ::2], x[:, 1::2]
    c, s = jnp.cos(angles), sign * jnp.sin(angles)
    return jnp.stack([a * c - b * s, b * c + a * s], -1).reshape(x.shape)


def rotated_bwd(res, g, *, wrong):
    return (rotated(g, 1.0 if wrong else -1.0),)


def padded_lookup(table, index):
    return jnp.where((index == 0)[:, None], 0, table[index])


def padded_lookup_bwd(res, g, *, wrong):
    table, index = res
    g = g if wrong else jnp.where((index == 0)[:, None], 0, g)
    return jnp.zeros_like(table).at[index].add(g), None


def cut_off_sums(d):
    """Nine sums, and a tenth at the end that a rule may have wrong."""
    for n in range(9):
        d = d + 0.1 * jnp.exp(d * (n + 1) / 10).sum(0)
    return d


def cut_off_sums_bwd(res, g, *, wrong):
    """Without the terms through the first eight sums."""
    d, steps = res[0], []
    for n in range(9):
        steps.append(0.01 * (n + 1) * jnp.exp(d * (n + 1) / 10))
        d = d + 0.1 * jnp.exp(d * (n + 1) / 10).sum(0)
    for n in reversed(range(9)):
        g = g + (steps[n] * g.sum(0) if n == 8 or not wrong else 0)
    return (g,)


TRIPLET = (triplet, triplet_without_margin, *RNG.standard_normal((3, 6, 3)).astype(np.float32))
EXPLAINED = {
    "a margin left out of one sample is no flip": (TRIPLET, "first axis", "backwards"),
    "an output without its cotangent": (
        (with_sum, with_sum_bwd, normal(4, 3), normal(5, 3)),
        "the cotangent of output 1 is left out",
        "a term is missing",
    ),
    "an angle of 0 at index 0": (
        (lambda x: rotated(x), rotated_bwd, normal(5, 6)),
        "multiplied by the index",
        "first sample",
    ),
    "a forgotten mask is no surrogate": (
        (padded_lookup, padded_lookup_bwd, normal(6, 3), np.array([1, 2, 4, 2], np.int32)),
        "a mask or a special case of the function is missing",
        "surrogate",
    ),
    "eight sums of nine are not every sum": ((cut_off_sums, cut_off_sums_bwd, normal(5)), "", "every sum"),
}


@pytest.mark.parametrize("fault", one_in(2, EXPLAINED))
def test_is_explained_and_its_right_twin_passes(fault):
    (fun, bwd, *args), words, not_these = EXPLAINED[fault]
    report = verify.check(joined(fun, bwd, wrong=True), *args, checks=CHECKS, seconds=LONG)
    assert report.verdict == "wrong"
    assert all(words in f.cause and not_these not in f.cause for f in report.failures), report
    assert verify.check(joined(fun, bwd, wrong=False), *args, checks=CHECKS, seconds=LONG).ok


@pytest.mark.slow
def test_axes_that_stay_equal_are_noted():
    def product(q, k):
        return jax.nn.softmax(q @ k.T)

    def bwd(res, g, *, wrong):
        q, k = res
        p = product(q, k)
        ds = p * (g - (g * p).sum(-1, keepdims=True))
        return ds @ k, ds.T @ q

    notes = verify.check(
        joined(product, bwd, wrong=False), normal(5, 3), normal(5, 3), checks=CHECKS, cases=1, seconds=LONG
    ).notes
    assert "not varied: axis 0 of q and axis 0 of k, equal in every call" in notes
    notes = verify.check(
        joined(product, bwd, wrong=False), normal(5, 3), normal(4, 3), checks=CHECKS, cases=1, seconds=LONG
    ).notes
    assert not any("equal in every call" in note for note in notes)


@pytest.mark.parametrize("wrong", [True, False])
def test_outside_of_jit_a_backward_rule_gets_arrays_of_jax(wrong):
    """Their `.at` is what NumPy's arrays do not have."""

    def bwd(res, g, *, wrong):
        return (g.at[0].set(0) if wrong else g.at[0].multiply(jnp.cos(res[0][0])).at[1:].multiply(jnp.cos(res[0][1:])),)

    rule = joined(lambda x: jnp.sin(x), bwd, wrong=wrong)
    report = verify.check(rule, normal(4), cases=0, checks=("gradient", "transforms"), seconds=LONG)
    assert report.ok is not wrong, report


def test_the_bound_of_a_quotient_does_not_grow_with_its_size():
    def scaled(x):
        return x / jnp.sqrt((x**2).mean(-1, keepdims=True))

    limits = [
        dict(verify.check(scaled, (size * normal(4, 6)), cases=0, checks=CHECKS, seconds=LONG).detection_limits)["x"]
        for size in (np.float32(1), np.float32(1000))
    ]
    assert limits[1] < 10 * limits[0]
