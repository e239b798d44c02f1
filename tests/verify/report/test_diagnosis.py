"""Each mistake is named from arrays that have it, and from arrays that only look like it nothing is said."""

from dataclasses import replace

import numpy as np
import pytest

from verify.report.diagnosis import at_last, diagnose
from verify.report.evidence import Argument, Evidence

RNG = np.random.default_rng(5)
X, W, Y_BAR, E = (RNG.standard_normal((6, 4)) for _ in range(4))
INDEX = np.array([0, 2, 2, 5, 0, 2, 4])
PICKED = RNG.standard_normal((len(INDEX), 4))  # ȳ of x[INDEX]


def seen(expected, got, **more):
    given = {"name": "x", "value": X, "y_bar": (Y_BAR,), **more}
    return Evidence(expected=expected, got=got, bad=np.abs(got - expected) > 1e-9, **given)


def added(y_bar):
    out = np.zeros((6, 4))
    np.add.at(out, INDEX, y_bar)
    return out


def kept(y_bar):
    out = np.zeros((6, 4))
    out[INDEX] = y_bar  # the last of each index
    return out


OTHER = RNG.standard_normal((6, 4))
MASK = X > 0
PLACES = (("labels", INDEX),)
NAMED = {
    "None": (
        seen(E, 0 * E, returned="None"),
        "the rule returns None for x, whatever it is called with: a zero gradient",
    ),
    "exchanged": (
        seen(E, OTHER, others=(Argument("w", W, OTHER, E),)),
        "x̄ and w̄ are exchanged: the rule returns each in the place of the other",
    ),
    "another's": (
        seen(E, OTHER, others=(Argument("w", W, OTHER, OTHER),)),
        "x̄ is the cotangent of another argument: it equals w̄",
    ),
    "mask": (seen(MASK * Y_BAR, ~MASK * Y_BAR), "the mask is inverted"),
    "set for add": (
        seen(added(PICKED), kept(PICKED), y_bar=(PICKED,)),
        "cotangents that meet at one element overwrite each other instead of adding up: .at[].set for .at[].add, or",
    ),
    "set for add, weighted": (
        seen(added(PICKED**3), kept(PICKED**3), y_bar=(PICKED,), indices=PLACES),
        "wrong exactly where labels holds an index twice: cotangents that meet",
    ),
}


@pytest.mark.parametrize("mistake", NAMED)
def test_is_named(mistake):
    evidence, words = NAMED[mistake]
    assert diagnose(evidence).startswith(words)
    # To within what the dtype resolves it is the mistake; beyond it, it is another.
    assert diagnose(replace(evidence, got=evidence.got * (1 + 1e-9))).startswith(words) or "set" in mistake
    corrupted = evidence.got + 1e-2 * RNG.standard_normal(evidence.got.shape)
    assert diagnose(replace(evidence, got=corrupted, bad=np.ones_like(evidence.bad))) == ""


LIKE = {
    "zeros that depend on the arguments": seen(E, 0 * E),
    "a number apart from another's cotangent": seen(E, -E, others=(Argument("w", W, -E, E),)),
    "entries of ȳ in another order": seen(Y_BAR, Y_BAR[::-1]),
    "ȳ where half of it is expected": seen(Y_BAR * np.where(MASK, 1, 0.5), Y_BAR),
    "a mask where there is more": seen(MASK * Y_BAR, ~MASK * Y_BAR**2),
    "a row of ȳ for the sum of rows": seen(Y_BAR.sum(0), Y_BAR[0]),
    "wrong at an index that occurs once": seen(added(PICKED**3), added(PICKED**3) * 1.1, indices=PLACES),
}


@pytest.mark.parametrize("like", LIKE)
def test_nothing_is_said_of_what_only_looks_like_a_mistake(like):
    assert diagnose(LIKE[like]) == ""


def test_a_number_is_said_last():
    assert diagnose(seen(E, 2 * E)) == ""
    assert at_last(seen(E, 2 * E)).startswith("×2: a factor 2 too many")
    assert at_last(seen(E, Y_BAR)).startswith("x̄ is ȳ itself")
    assert at_last(seen(-Y_BAR, Y_BAR)) == ""  # a sign, which the pattern names
    assert at_last(seen(E, Y_BAR, name="y")).startswith("the cotangent of y is ȳ itself")


def test_a_slope_where_the_function_has_none_is_a_missing_mask_in_a_generated_call_of_the_examples_sizes():
    e, g = Y_BAR.copy(), Y_BAR + 0.5 * E
    e[0], g[1:] = 0, e[1:]
    other = replace(seen(e, g, value=X[:3]), example=False)
    assert "a mask or a special case" in at_last(other)
    assert not any(
        "special case" in at_last(replace(other, **not_so)) for not_so in ({"example": True}, {"reshaped": True})
    )
    e[0, 0] = 1.0
    assert not at_last(replace(seen(e, g, value=X[:3]), example=False))
