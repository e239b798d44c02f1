"""Rules that a user writes with `purecnn.rules.rule`: what is wrong with one is said by its name."""

import jax
import jax.numpy as jnp
import pytest

import purecnn
from purecnn import nn
from purecnn.rules import rule
from tests.own_rule import product

X, W = jnp.ones((2, 3)), jnp.full((2, 3), 2.0)


@pytest.mark.parametrize(
    ("bwd", "got"),
    [
        (lambda residuals, y_bar: (y_bar,), "a tuple of 1"),
        (lambda residuals, y_bar: (y_bar, y_bar, None), "a tuple of 3"),
        (lambda residuals, y_bar: [y_bar, y_bar], "list"),
        (lambda residuals, y_bar: y_bar, ".*"),  # whose rows, two as well, could be mistaken for the cotangents
    ],
    ids=["too few", "too many", "a list", "an array"],
)
def test_a_backward_rule_returns_a_tuple_with_a_cotangent_for_each_argument(bwd, got):
    mine = product(bwd)
    message = f"^product: bwd: got {got}, expected a tuple of 2, a cotangent for each argument"
    with pytest.raises(TypeError, match=message):
        jax.grad(lambda x: mine(x, W).sum())(X)
    y, residuals = mine.fwd(X, W)
    with pytest.raises(TypeError, match=message):
        mine.bwd(residuals, y)


def test_a_rule_without_its_pair_is_no_layer():
    @rule
    def half(x):
        return x / 2

    with pytest.raises(TypeError, match=r"^from_rule: rule: got function half, expected a rule and its pair"):
        nn.from_rule(half)


def test_forward_mode_says_what_has_it():
    net = purecnn.Chain("net", (nn.relu(),))
    for call in (purecnn.relu, lambda x: net.apply([{}], x), jax.vmap(purecnn.relu)):
        with pytest.raises(TypeError, match="forward-mode") as caught:
            jax.jvp(call, (X,), (X,))
        notes = [note for note in caught.value.__notes__ if note.startswith("relu: ")]
        assert notes == ["relu: rule.primal and Chain.without_rules() have forward mode"]
    with pytest.raises(TypeError, match="forward-mode") as caught:
        jax.jacfwd(purecnn.relu)(X)
    assert caught.value.__notes__


def test_a_replaced_backward_rule_can_be_replaced():
    doubled = purecnn.with_backward(purecnn.relu, lambda residuals, y_bar, **options: (2 * y_bar,))
    tripled = purecnn.with_backward(doubled, lambda residuals, y_bar, **options: (3 * y_bar,))
    assert jax.grad(lambda x: tripled(x).sum())(X).tolist() == [[3.0] * 3] * 2
    assert jax.grad(lambda x: doubled(x).sum())(X).tolist() == [[2.0] * 3] * 2
