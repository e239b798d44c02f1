import functools
import inspect

import jax
import jax.numpy as jnp
import pytest

import purecnn
from purecnn.rules import Rule, rule


@functools.partial(rule, static=("power",))
def scaled(x, power, *, factor=1.0):
    """x ** power · factor."""
    return x**power * factor


scaled.defvjp(
    lambda x, power, *, factor=1.0: (scaled(x, power, factor=factor), (x,)),
    # Not the derivative: what marks that this rule ran, with its options.
    lambda residuals, y_bar, power, *, factor=1.0: (y_bar * (100 * power + factor),),
)


def test_the_backward_rule_gets_the_options_under_their_names():
    assert jax.grad(lambda x: scaled(x, 3, factor=2.0))(5.0) == 302
    assert jax.grad(lambda x: scaled(x, power=3))(5.0) == 301


def test_the_primal_without_its_rule_is_reachable():
    assert jax.grad(lambda x: scaled.__wrapped__(x, 3, factor=2.0))(5.0) == 150


def test_name_docstring_and_signature_are_the_primals():
    assert scaled.__name__ == "scaled"
    assert scaled.__doc__ == "x ** power · factor."
    assert list(inspect.signature(scaled).parameters) == ["x", "power", "factor"]
    assert isinstance(scaled, Rule)


def test_lists_are_as_good_as_tuples():
    x = jnp.ones((1, 4, 4, 1))
    by_lists = purecnn.max_pool2d.__wrapped__(x, window=(2, 2), padding=((1, 1), (0, 0)))
    assert (jax.jit(lambda x: purecnn.max_pool2d(x, window=[2, 2], padding=[[1, 1], [0, 0]]))(x) == by_lists).all()


def test_an_array_is_no_option():
    with pytest.raises(TypeError, match=r"scaled: factor: got .*Array.*, expected a static \(hashable\) value"):
        scaled(1.0, 2, factor=jnp.ones(1))


def test_forward_mode_is_refused():
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(purecnn.relu, (jnp.ones(1),), (jnp.ones(1),))


def test_every_public_rule_has_its_pair():
    others = ("Chain", "backprop", "with_backward")
    names = {name for name in purecnn.__all__ if callable(getattr(purecnn, name)) and name not in others}
    rules = {name for name in names if not name.endswith(("_fwd", "_bwd"))}
    assert len(rules) == 17
    assert names == rules | {f"{name}_fwd" for name in rules} | {f"{name}_bwd" for name in rules}
    for name in rules:
        primal, fwd, bwd = (inspect.signature(getattr(purecnn, name + end)) for end in ("", "_fwd", "_bwd"))
        assert fwd.parameters.keys() == primal.parameters.keys()
        assert [p.default for p in fwd.parameters.values()] == [p.default for p in primal.parameters.values()]
        options = [p for p in primal.parameters.values() if p.kind is p.KEYWORD_ONLY]
        assert [p.name for p in bwd.parameters.values() if p.kind is p.KEYWORD_ONLY] == [p.name for p in options]
        assert getattr(purecnn, name).__doc__
