"""A term that is missing, of the wrong sign or of the wrong size is named by the sum it comes through."""

import jax
import jax.numpy as jnp
import pytest

import verify

from ..faulty_rules.joined import joined, normal

X = normal(3, 4, 6)


def normalised(x):
    centred = x - x.mean(1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)


def normalised_backward(mean, variance):
    """The rule with its two terms times a number each; 1 and 1 are right."""

    def backward(args, y, g):
        centred = args[0] - args[0].mean(1, keepdims=True)
        r = jnp.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
        first, second = g.mean(1, keepdims=True), y * (g * y).mean(1, keepdims=True)
        return ((g - mean * first - variance * second) / r,)

    return backward


def cause(primal, backward, *args):
    report = verify.check(joined(primal, backward), *args, checks=("contract", "gradient"), cases=0)
    assert [f.argument for f in report.failures] == ["x"], str(report)
    return report.failures[0].cause


FIRST, SECOND = (f"the {n} sum (or mean) over axis 1" for n in ("first", "second"))
NORMALISED = {
    (0, 1): f"x̄ lacks the term through {FIRST}, which is treated as a constant",
    (1, 0): f"x̄ lacks the term through {SECOND}, which is treated as a constant",
    (0, 0): "x̄ lacks the terms through every sum and maximum of the function, which are treated as constants",
    (-1, 1): f"x̄ has the term through {FIRST} with the wrong sign",
    (1, -1): f"x̄ has the term through {SECOND} with the wrong sign",
    (6, 1): f"x̄ has the term through {FIRST} times 6, its length: a sum for a mean, or the reverse",
    (1, 0.5): f"x̄ has the term through {SECOND} times 0.5",
}


@pytest.mark.parametrize(("mean", "variance"), NORMALISED)
def test_the_term_of_a_normalisation_is_named(mean, variance):
    assert cause(normalised, normalised_backward(mean, variance), X) == NORMALISED[mean, variance]


def test_the_normaliser_of_a_softmax_inside_of_somebodys_rule_is_named():
    softmax = lambda x: jax.nn.softmax(x, 1)  # noqa: E731 (a custom_jvp)
    assert cause(softmax, lambda args, y, g: (g * y,), X) == (
        "x̄ lacks the term through the sum (or mean) over axis 1, which is treated as a constant"
    )


def test_two_terms_wrong_in_different_ways_are_not_called_one():
    assert "term through" not in cause(normalised, normalised_backward(0.5, 2), X)
    assert "term through" not in cause(normalised, lambda args, y, g: (g * y,), X)
