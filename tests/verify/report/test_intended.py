"""Gradients that are intentionally not derivatives are named, and the finding's reference declares them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import one_in

from ..faulty_rules.joined import joined, normal

X = 2 * normal(3, 4, 5)
FEW = ("contract", "gradient", "forward", "linearity", "adjoint", "differences")


def step(v):
    return (v > 0).astype(v.dtype)


def at_one(v):
    return (v > 1).astype(v.dtype)


def same(x):
    return x * 1


def said(primal, backward, *args, **options):
    """The rule, and the sentence of its finding; the verdict stays what the comparison says."""
    rule = joined(primal, lambda args, y, g: backward(*args, g))
    report = verify.check(rule, *args, checks=("contract", "gradient", "linearity"), cases=0, **options)
    assert report.verdict == "wrong"
    assert [f.argument for f in report.failures if f.check != "linearity"] in (["x"], ["v"], []), str(report)
    return rule, report.failures[0].cause


def sigmoid_slope(v, g):
    s = jax.nn.sigmoid(4 * v)
    return (4 * g * s * (1 - s),)


# What the rule is, its function and its backward rule; the first words of the sentence, words further on.
DECLARED = {
    "straight-through": (jnp.round, lambda x, g: (g,), "a straight-through estimator: x̄ = ȳ where", "lambda x: x + "),
    "of a sign, inside": (
        jnp.sign,
        lambda x, g: (jnp.where(jnp.abs(x) <= 1, g, 0),),
        "a straight-through estimator: x̄ = ȳ where -1 ≤ x ≤ 1, 0 elsewhere",
        "jnp.clip(x, min=-1, max=1)",
    ),
    "of a floor, halved": (jnp.floor, lambda x, g: (g / 2,), "a straight-through estimator: x̄ = 0.5 · ȳ", "0.5 * x"),
    "surrogate, sigmoid": (step, sigmoid_slope, "a surrogate gradient", "that of jax.nn.sigmoid(4 * v)"),
    "surrogate, fast sigmoid at a threshold": (
        at_one,
        lambda v, g: (g / (1 + 10 * jnp.abs(v - 1)) ** 2,),
        "a surrogate gradient",
        "that of 0.1 * jax.nn.soft_sign(10 * (v - 1))",
    ),
    "surrogate, arctan": (step, lambda v, g: (g / (1 + v**2),), "a surrogate gradient", "that of jnp.arctan(v)"),
    "surrogate, triangle": (
        step,
        lambda v, g: (0.3 * g * jnp.maximum(0, 1 - jnp.abs(v)),),
        "a surrogate gradient",
        "jnp.clip(v, -1, 1)",
    ),
    "reversal": (same, lambda x, g: (-g,), "gradient reversal: x̄ = −ȳ", "2 * stop_gradient(x) - x"),
    "reversal, scaled": (same, lambda x, g: (-0.25 * g,), "gradient reversal: x̄ = −0.25 ȳ", "1.25 * stop_gradient(x)"),
}


@pytest.mark.parametrize("kind", one_in(2, DECLARED))
def test_is_named_and_declared_by_the_reference_that_the_finding_gives(kind):
    primal, backward, first, further = DECLARED[kind]
    rule, cause = said(primal if primal in (step, at_one, same) else lambda x: primal(x), backward, X)
    assert cause.startswith(first)
    assert further in cause
    code = cause.partition("reference=")[2].removesuffix(" declares it")
    names = {"jax": jax, "jnp": jnp, "stop_gradient": jax.lax.stop_gradient, rule.__name__: rule, "f": rule}
    report = verify.check(rule, X, reference=eval(code, names), cases=0, checks=FEW)
    assert report.ok, f"{code}\n{report}"


def test_the_strength_of_a_reversal_is_called_by_its_name():
    rule, cause = said(lambda x, strength: x * 1, lambda x, s, g: (-s * g, jnp.zeros_like(s)), X, np.float32(0.7))
    assert cause.startswith("gradient reversal: x̄ = −strength ȳ")
    code = cause.partition("reference=")[2].removesuffix(" declares it")
    assert code == "lambda x, strength: (1 + strength) * stop_gradient(x) - strength * x"
    reference = eval(code, {"stop_gradient": jax.lax.stop_gradient})
    # Of x alone: no function has 0 for the derivative by the strength and a slope by x that depends on it.
    assert verify.check(rule, X, np.float32(0.7), reference=reference, argnums=0, cases=0, checks=FEW).ok


def test_a_surrogate_of_no_known_form_is_named_all_the_same():
    cause = said(step, lambda v, g: (g * jnp.exp(-jnp.abs(v)),), X)[1]
    assert cause.startswith("a surrogate gradient: the rule returns a slope where the function is flat")
    assert "s being a function with that slope" in cause


def test_of_several_arguments_the_reference_speaks_of_the_flat_one_alone():
    cause = said(
        lambda x, s: s[None] * jnp.round(x), lambda x, s, g: (g * s[None], (g * jnp.round(x)).sum(0)), X, X[0]
    )[1]
    assert "surrogate gradient" in cause
    assert "in the place of the flat part" in cause


CLIPPED = {
    "each entry of the result": (jnp.sin, lambda x, g: (jnp.clip(g * jnp.cos(x), -0.5, 0.5),), "x̄ is the expected one"),
    "each entry of ȳ": (jnp.sin, lambda x, g: (jnp.clip(g, -0.5, 0.5) * jnp.cos(x),), "ȳ is cut off at ±0.5"),
    "between two numbers": (same, lambda x, g: (jnp.clip(g, -0.5, 0.25),), "cut off at -0.5 and 0.25"),
    "only where ȳ is large": (same, lambda x, g: (jnp.clip(g, -8, 8),), "cut off at ±8"),
    "to a norm": (same, lambda x, g: (g / jnp.linalg.norm(g),), "x̄ is scaled to the norm 1"),
    "before a product": (
        lambda x: x @ jnp.arange(5, dtype=x.dtype),
        lambda x, g: (jnp.clip(g, -0.5, 0.5)[:, None] * jnp.arange(5, dtype=x.dtype)[None],),
        "ȳ is cut off at ±0.5",
    ),
    "the slope": (lambda x: jnp.log(jnp.abs(x)), lambda x, g: (g * jnp.clip(1 / x, -2, 2),), "slope of the function"),
}


@pytest.mark.parametrize("kind", one_in(2, CLIPPED))
def test_clipping_is_named(kind):
    primal, backward, words = CLIPPED[kind]
    cause = said(primal, backward, X)[1]
    assert words in cause
    assert ("no function has such a derivative" in cause) == (kind != "the slope")


def test_of_one_element_only_a_round_bound_tells():
    large = lambda bound: lambda x, g: (jnp.minimum(g, bound),)  # noqa: E731
    assert "cut off at 1.5;" in said(same, large(1.5), X)[1]
    assert "clipped" not in said(same, large(1.5167), X)[1]


def test_a_reference_that_clips_as_well_declares_it_and_one_that_does_not_does_not():
    rule = joined(same, lambda args, y, g: (jnp.clip(g, -1, 1),))
    twin = joined(same, lambda args, y, g: (jnp.minimum(jnp.maximum(g, -1), 1),))
    wider = joined(same, lambda args, y, g: (jnp.clip(g, -2, 2),))
    assert verify.check(rule, X, reference=twin, cases=2, checks=FEW).ok
    assert not verify.check(rule, X, reference=wider, cases=0).ok
    assert not verify.check(rule, X, reference=same, cases=0).ok


def test_what_only_resembles_one_is_not_called_so():
    # A slope forgotten behind a function that is nowhere flat; ȳ cut to a mask; the sign of a gradient.
    assert "surrogate" not in said(jnp.sin, lambda x, g: (g * jnp.exp(-(x**2)),), X)[1]
    assert "reversal" not in said(jnp.sin, lambda x, g: (-g * jnp.cos(x),), X)[1]
    assert "clip" not in said(same, lambda x, g: (jnp.where(x > 0, g, 0),), X)[1]
    assert "norm" not in said(same, lambda x, g: (np.float32(0.7) * g,), X)[1]
