"""Generated calls that the example does not promise, though the function takes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import LONG, with_arguments
from verify.generate import promised

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(4)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def chosen(scores, seen):
    return jnp.where(seen, scores, -1e30)


def added(scores, seen):
    return scores + jnp.where(seen, 0, -1e30)


def probabilities(q, k, masked, *, from_the_end):
    """A causal mask, the last query beside the last key: with more queries than keys the first ones see none."""
    shift = len(k) - len(q) if from_the_end else 0
    seen = jnp.arange(len(k)) <= jnp.arange(len(q))[:, None] + shift
    return jax.nn.softmax(masked(q @ k.T, seen))


def attention_rule(wrong, masked=chosen):
    def attention(q, k, v):
        return probabilities(q, k, masked, from_the_end=True) @ v

    def bwd(r, g):
        q, k, v = r
        p = probabilities(q, k, masked, from_the_end=not wrong)
        ds = p * (g @ v.T - ((g @ v.T) * p).sum(-1, keepdims=True))
        return ds @ k, ds.T @ q, p.T @ g

    return with_arguments(attention, bwd)


@pytest.mark.parametrize(("checks", "cases"), [(("gradient",), 8), (("gradient", "low precision"), 0)])
@pytest.mark.parametrize("wrong", [True, False])
def test_a_mask_of_positions_leaves_every_query_a_key(wrong, checks, cases):
    args = normal(4, 3), normal(5, 3), normal(5, 2)
    report = verify.check(attention_rule(wrong), *args, checks=checks, cases=cases, seconds=LONG)
    assert report.ok is not wrong, report


def test_a_mask_that_is_added_leaves_every_query_a_key_too():
    args = normal(4, 3), normal(5, 3), normal(5, 2)
    assert verify.check(attention_rule(False, added), *args, checks=("gradient",), seconds=LONG).ok


def test_a_program_without_such_a_mask_is_not_computed(monkeypatch):
    """Each of its operations would be compiled for that, also those on constants that are no mask."""
    computed = []
    monkeypatch.setattr(promised, "bind", lambda *args: computed.append(args))

    def weighted(x):
        return jnp.sin(x) * jnp.arange(x.shape[-1])

    rule = with_arguments(weighted, lambda r, g: (g * jnp.cos(r[0]) * jnp.arange(g.shape[-1]),))
    assert verify.check(rule, normal(4, 3), checks=("gradient",), seconds=LONG).ok
    assert not computed


def test_an_empty_row_of_the_example_is_tried_elsewhere_too():
    """Three queries before the first key: what a rule does there is part of its contract."""
    args = normal(8, 3), normal(5, 3), normal(5, 2)
    assert verify.check(attention_rule(False), *args, checks=("gradient",), cases=0).verdict == "wrong"


def guarded(q, k, v):
    """What each query sees, 0 where there is nothing, and what the backward rule reads again."""
    seen = jnp.arange(len(k)) <= jnp.arange(len(q))[:, None] + len(k) - len(q)
    scores, some = jnp.where(seen, q @ k.T, -jnp.inf), seen.any(1, keepdims=True)
    largest = jnp.where(some, scores.max(1, keepdims=True), 0)
    total = jnp.exp(scores - largest).sum(1, keepdims=True)
    out = jnp.where(some, jnp.exp(scores - largest) @ v / jnp.where(some, total, 1), 0)
    return out, scores, jnp.where(some, largest + jnp.log(jnp.where(some, total, 1)), -jnp.inf)


@pytest.mark.parametrize("wrong", [True, False])
def test_a_function_may_be_written_for_rows_that_see_nothing(wrong):
    """exp(-inf + inf) in the backward rule alone, with more queries than keys."""

    def bwd(r, g):
        q, k, v = r
        out, scores, total = guarded(q, k, v)
        p = jnp.exp(scores - (total if wrong else jnp.where(jnp.isfinite(total), total, 0)))
        ds = p * (g @ v.T - (g * out).sum(1, keepdims=True))
        return ds @ k, ds.T @ q, p.T @ g

    rule = with_arguments(lambda q, k, v: guarded(q, k, v)[0], bwd)
    report = verify.check(rule, normal(5, 4), normal(6, 4), normal(6, 3), checks=("gradient",), seconds=LONG)
    assert report.ok is not wrong, report


LABELS = np.array([0, 2, 4, 1], np.int32)


def entropy(z):
    one_hot = jax.nn.one_hot(jnp.array(LABELS), z.shape[1], dtype=z.dtype)
    return -(one_hot * jax.nn.log_softmax(z)).sum(-1)


@pytest.mark.parametrize("wrong", [True, False])
def test_labels_that_the_function_holds_are_of_a_class_that_there_is(wrong):
    """Elsewhere the loss is 0, which the usual rule does not know."""

    def bwd(r, g):
        one_hot = jax.nn.one_hot(jnp.array(LABELS), r[0].shape[1], dtype=r[0].dtype)
        return (g[:, None] * (jax.nn.softmax(r[0]) - one_hot * (1.5 if wrong and r[0].shape[1] > 5 else 1)),)

    report = verify.check(with_arguments(entropy, bwd), normal(4, 5), checks=("gradient",), seconds=LONG)
    assert report.ok is not wrong, report


def means(x, segments):
    """Of four segments."""
    counts = jax.ops.segment_sum(jnp.ones_like(x), segments, 4)
    return jax.ops.segment_sum(x, segments, 4) / jnp.maximum(counts, 1)


def test_no_row_is_beyond_the_segments_that_the_function_has():
    def bwd(res, g):
        x, segments = res
        counts = jax.ops.segment_sum(jnp.ones_like(x), segments, 4)
        return (g / jnp.maximum(counts, 1))[segments], None

    rule = with_arguments(means, bwd)
    report = verify.check(rule, normal(4), np.array([2, 0, 3, 1]), checks=("contract", "gradient"))
    assert report.ok, report


@pytest.mark.parametrize("wrong", [True, False])
def test_a_diagonal_is_read_of_square_matrices_alone(wrong):
    """Of more rows than columns JAX reads the last column again, and the usual rule raises."""

    def contrastive(z):
        k = jnp.arange(len(z))
        return -(jax.nn.log_softmax(z, 1)[k, k] + jax.nn.log_softmax(z, 0)[k, k]).mean() / 2

    def bwd(r, g):
        (z,) = r
        p = jax.nn.softmax(z, 1) + jax.nn.softmax(z, 1 if wrong else 0)
        return (g * (p - 2 * jnp.eye(len(z), dtype=z.dtype)) / (2 * len(z)),)

    report = verify.check(with_arguments(contrastive, bwd), normal(6, 6), checks=("contract", "gradient"), seconds=LONG)
    assert report.ok is not wrong, report


@pytest.mark.parametrize("wrong", [True, False])
def test_an_axis_is_as_long_as_the_positions_that_the_function_names(wrong):
    """Of a shorter one JAX reads the last entry in place of one that is not there."""

    def turned(angles, x):
        return jnp.cos(angles[0]) * x[:, 0] + jnp.sin(angles[1]) * x[:, 1] + angles[2]

    def bwd(r, g):
        angles, x = r
        c, s = jnp.cos(angles[0]), jnp.sin(angles[1])
        slopes = (-jnp.sin(angles[0]) * x[:, 0], jnp.cos(angles[1]) * x[:, 1 - wrong], 1)
        bars = [jnp.zeros_like(angles).at[n].set((g * slope).sum()) for n, slope in enumerate(slopes)]
        return sum(bars), jnp.zeros_like(x).at[:, 0].set(g * c).at[:, 1].set(g * s)

    report = verify.check(with_arguments(turned, bwd), normal(3), normal(5, 2), checks=("gradient",), seconds=LONG)
    assert report.verdict == ("wrong" if wrong else "right"), report
