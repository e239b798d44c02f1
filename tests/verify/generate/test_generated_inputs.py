"""What the arrays of a generated call hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import assert_only_the_fault_is_seen, with_arguments
from verify.checking import _example
from verify.function_under_test import describe
from verify.generate import generated_inputs

X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


def test_integers_that_are_all_alike_are_varied():
    def kept(x, lengths):
        return jnp.where(jnp.arange(x.shape[1])[None] < lengths[:, None], x, 0)

    def drawn(integers):
        case = _example(describe(kept, (X, np.array(integers, np.int32)), None, None), "", 0)
        draws = [generated_inputs.fill(case, np.random.default_rng(s), {}, [(4, 6), (4,)])[1] for s in range(9)]
        return sorted({int(n) for draw in draws for n in draw})

    assert drawn([5, 5, 5, 5]) == [4, 5]
    assert drawn([0, 0, 0, 0]) == [0, 1]
    assert drawn([1, 1, 1, 1]) == [1]  # a count may not be 0


def test_labels_that_are_none_stay_what_they_are():
    def kept(x, labels):
        return jnp.where(labels[:, None] >= 0, x, 0)

    def drawn(labels):
        case = _example(describe(kept, (X, np.array(labels, np.int32)), None, None), "", 0)
        draws = [generated_inputs.fill(case, np.random.default_rng(s), {}, [(4, 2), (4,)])[1] for s in range(9)]
        return sorted({int(n) for draw in draws for n in draw})

    assert drawn([0, -100, 5, -1]) == [-100, -1, 0, 1]
    assert min(drawn([0, -3, 5, 1])) == 0  # the third from the end


def test_ties_of_ordinary_numbers_are_at_exactly_one():
    drawn = generated_inputs.tied(np.random.default_rng(0), (50,), 0.9)
    assert sorted(set(drawn.tolist())) == [-1, 0, 1]


def test_ties_of_positive_numbers_are_not_at_zero():
    """There a difference is a note."""
    case = _example(describe(jnp.log, (np.abs(X) + 0.5,), None, None), "", 0)
    drawn = generated_inputs.fill(case, np.random.default_rng(0), {0: generated_inputs.tied}, [(4, 6)])[0]
    assert sorted(set(drawn.ravel().tolist())) == [1, 2]


def test_labels_of_which_each_occurs_once_stay_below_the_number_of_classes():
    """As those of a contrastive loss, whose scores are square in the example."""
    scores, labels = X[:, :4], np.arange(4, dtype=np.int32)
    case = _example(describe(lambda z, y: jnp.take_along_axis(z, y[:, None], 1), (scores, labels), None, None), "", 0)

    def drawn(rows, classes):
        return generated_inputs.fill(case, np.random.default_rng(0), {}, [(rows, classes), (rows,)])[1]

    assert drawn(4, 3).max() < 3
    assert drawn(5, 3).max() < 3
    for rows in (3, 4, 7):
        assert sorted(drawn(rows, rows)) == list(range(rows))


@pytest.mark.parametrize("faulty", [True, False])
def test_a_branch_for_large_matrices_is_seen_of_one_that_is_taken_apart(faulty):
    def bwd(r, g):
        bar = jax.vjp(jax.scipy.linalg.expm, r[0])[1](g)[0]
        large = jnp.abs(r[0]).sum(0).max() > 8
        return (jnp.where(large & faulty, bar.T, bar),)

    a = X[:3, :3]
    report = verify.check(with_arguments(jax.scipy.linalg.expm, bwd), a, checks=("contract", "gradient"))
    assert report.verdict == ("wrong" if faulty else "right"), report


@pytest.mark.parametrize(("number", "expected"), [(0, {0, 1}), (1, {1, 2}), (4, {3, 4})])
def test_one_integer_is_varied(number, expected):
    """As the number of steps so far is."""
    case = _example(describe(lambda x, t: jnp.where(t > 2, x, 2 * x), (X, np.int32(number)), None, None), "", 0)
    draws = [generated_inputs.fill(case, np.random.default_rng(s), {}, [(4, 6), ()])[1] for s in range(9)]
    assert {int(d) for d in draws} == expected


def test_what_is_sorted_need_not_be_sorted_before():
    def drawn(function, *numbers, **options):
        case = _example(describe(function, numbers, None, None, **options), "", 0)
        return generated_inputs.fill(case, np.random.default_rng(0), {}, [n.shape for n in numbers])[0]

    in_order = np.array([0.1, 0.4, 1.1, 1.3, 2.9, 3.0], np.float32)
    assert not np.all(np.diff(drawn(jnp.sort, in_order)) > 0)
    assert np.all(np.diff(drawn(lambda x: jnp.diff(x) ** 2, in_order)) > 0)
    assert np.all(np.diff(drawn(lambda x, y: jnp.sort(x) * y, in_order, X[0])) > 0)
    assert np.all(np.diff(drawn(jnp.sort, in_order, domain={"a": "increasing"})) > 0)


def test_positive_arguments_are_equal_to_each_other_somewhere():
    """A rule may take one formula where they are, which may be right for one of them alone."""

    def overlap(b, r):
        return jnp.exp(-b) * r + (b - r) ** 2 * jnp.cos(r)

    def bwd(r, g, *, wrong):
        db, dr = jax.vjp(overlap, *r)[1](g)
        alone = wrong & (r[0] == r[1])
        return jnp.where(alone, 0, db), jnp.where(alone, db + dr, dr)

    b, r = (np.random.default_rng(s).uniform(0.5, 2, 5).astype(np.float32) for s in (1, 2))
    assert_only_the_fault_is_seen(overlap, bwd, b, r, checks=("gradient",))


def test_decays_are_saturated_below_zero():
    """Of both signs they overflow in the function itself, which excuses the rule."""

    def decayed(x, a, *, masked_first=True):
        s = jnp.cumsum(a)
        seen = jnp.tri(len(a), dtype=bool)
        apart = jnp.where(seen, s[:, None] - s[None], 0) if masked_first else s[:, None] - s[None]
        return jnp.where(seen, jnp.exp(apart), 0) @ x

    def bwd(r, g, *, wrong):
        return jax.vjp(lambda x, a: decayed(x, a, masked_first=not wrong), *r)[1](g)

    function = lambda x, a: decayed(x, a)  # noqa: E731
    a = -np.random.default_rng(3).uniform(0.2, 1, 4).astype(np.float32)
    assert_only_the_fault_is_seen(function, bwd, X, a, checks=("gradient", "finite", "conditioning"))


def test_no_number_is_saturated_whose_square_the_dtype_does_not_hold():
    @jax.custom_vjp
    def bounded(x, c):
        return jnp.minimum(x, jax.lax.lgamma(1 + c * c))

    def backward(args, g):
        x, c = args
        low = x < jax.lax.lgamma(1 + c * c)
        through = jnp.sum(jnp.where(low, 0, g)) * jax.lax.digamma(1 + c * c) * 2 * c  # 0·∞ where c·c overflows
        return jnp.where(low, g, 0), through

    bounded.defvjp(lambda x, c: (bounded(x, c), (x, c)), backward)
    assert verify.check(bounded, X.astype(np.float16), np.float16(0.7)).ok


def test_a_naive_softplus_overflows_in_float16_as_well():
    @jax.custom_vjp
    def softplus(x):
        return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))

    softplus.defvjp(lambda x: (softplus(x), x), lambda x, g: (g * jnp.exp(x) / (1 + jnp.exp(x)),))
    report = verify.check(softplus, X.astype(np.float16))
    assert report.verdict == "wrong", report
    assert report.failures[0].cause.startswith("an overflow"), report
