"""Rules that are told which arguments and outputs play no part: what they answer then is what they answer to zeros."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.custom_derivatives import SymbolicZero

import verify

X, Y = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)


def pushed(fault):
    """sin(x) y; `fault`: twice the tangent where y has none."""
    rule = jax.custom_jvp(lambda x, y: jnp.sin(x) * y)

    def jvp(primals, tangents):
        (x, y), (dx, dy) = primals, tangents
        out = jnp.zeros_like(x)
        if not isinstance(dx, SymbolicZero):
            out += jnp.cos(x) * y * dx * (2 if fault and isinstance(dy, SymbolicZero) else 1)
        if not isinstance(dy, SymbolicZero):
            out += jnp.sin(x) * dy
        return jnp.sin(x) * y, out

    rule.defjvp(jvp, symbolic_zeros=True)
    return rule


def pulled(fault):
    """(sin(x) y, x + y); `fault`: where y is not perturbed, or where the first output is not used."""
    rule = jax.custom_vjp(lambda x, y: (jnp.sin(x) * y, x + y))

    def fwd(x, y):
        return (jnp.sin(x.value) * y.value, x.value + y.value), (x.value, y.value, y.perturbed)

    def bwd(residuals, cotangents):
        x, y, perturbed = residuals
        unused = isinstance(cotangents[0], SymbolicZero)
        a, b = (jnp.zeros_like(x) if isinstance(g, SymbolicZero) else g for g in cotangents)
        x_bar = a * jnp.cos(x) * y + b
        if (fault == "not perturbed" and not perturbed) or (fault == "not used" and unused):
            x_bar = 2 * x_bar
        return x_bar, a * jnp.sin(x) + b

    rule.defvjp(fwd, bwd, symbolic_zeros=True)
    return rule


@pytest.mark.parametrize(
    ("made", "fault", "argument", "where"),
    [
        (pushed, "twice", "tangent of output", "under jax.jvp along x alone"),
        (pulled, "not perturbed", "x", "differentiated by x alone"),
        (pulled, "not used", "x", "where output 1 alone is used"),
    ],
)
def test_what_one_argument_or_output_alone_shows(made, fault, argument, where):
    (found,) = verify.check(made(fault), X, Y, cases=0, checks=("gradient", "methods")).failures
    assert (found.check, found.argument) == ("methods", argument)
    assert where in found.message
    assert "symbolic_zeros=True" in found.cause


@pytest.mark.parametrize("made", [pushed, pulled])
def test_right(made):
    report = verify.check(made(""), X, Y, cases=0, checks=("gradient", "methods"))
    assert report.ok, report
    assert "methods" in {o.check for o in report.outcomes if o.status == "passed"}


def test_an_infinite_argument_times_a_tangent_of_zeros_is_no_truth():
    far = np.where(Y > 1, np.inf, Y)
    assert np.isinf(far).any()
    report = verify.check(pushed(""), X, far, cases=0, checks=("gradient", "methods"))
    assert not report.failures, report
