"""Factors are named by what they are: an argument, the devices, a number."""

import numpy as np
import pytest

from verify.report.evidence import Argument, Evidence
from verify.report.factors import constant, of_an_array, of_devices

RNG = np.random.default_rng(6)
X, E, Y = (RNG.standard_normal((6, 4)) for _ in range(3))
A, ROWS = RNG.standard_normal(4), RNG.standard_normal(6)
OTHERS = (Argument("a", A), Argument("t", np.float64(1.7)), Argument("rows", ROWS))


def seen(got, **more):
    given = {"others": OTHERS, "outputs": (Y,), "devices": (8,), "numbers": (("n", 2.5), ("count", 4.0)), **more}
    return Evidence("x", X, E, got, np.ones(E.shape, bool), (RNG.standard_normal((6, 4)),), **given)


ARRAYS = {
    "a factor a is missing in x̄, or a division by it is one too many": E / A,
    "x̄ is a times too large: a factor too many, or no division by it": E * A,
    "x̄ is multiplied by a where it should be divided by it": E * A**2,
    "x̄ is divided by a where it should be multiplied by it": E / A**2,
    "a factor rows is missing in x̄, or a division by it is one too many": E / ROWS[:, None],
    "x̄ is x times too large: a factor too many, or no division by it": E * X,
    "a factor y (the output) is missing in x̄, or a division by it is one too many": E / Y,
    "": E * (1 + A),
}


@pytest.mark.parametrize("words", ARRAYS)
def test_an_array_that_is_missing_or_too_much_is_named(words):
    assert of_an_array(seen(ARRAYS[words])) == words


def test_the_number_of_devices_is_named():
    assert of_devices(seen(8 * E)) == "×8 = the number of devices: a psum too many"
    assert of_devices(seen(E / 8)).startswith("×1/8 = one over the number of devices: a psum is missing")
    assert of_devices(seen(64 * E)) == "×64 = the number of devices, squared: two psums too many"
    assert of_devices(seen(8 * E, devices=())) == of_devices(seen(7 * E)) == of_devices(seen(8 * E + 0.1)) == ""


NUMBERS = {
    1.7: "×1.7 = t: x̄ is multiplied by t once too often",
    1 / 1.7: "×1/1.7 = 1/t: a factor t is missing in x̄",
    2.5: "×2.5 = n: x̄ is multiplied by n once too often",
    0.25: "×1/4 = 1/count: a factor 4, or count, is missing in x̄",
    2.0: "×2: a factor 2 too many, a term taken twice",
    0.5: "×1/2: a factor 2 is missing, as that of d(x²) = 2x dx",
    -1 / 3: "×1/3, and the sign is wrong: a factor 3 is missing, or a division by 3 one too many",
    1.01: "",
    -1.0: "",  # a sign, which the pattern names
    17.0: "",
}


@pytest.mark.parametrize("factor", NUMBERS)
def test_a_number_is_named(factor):
    assert constant(seen(factor * E)) == NUMBERS[factor]
    assert constant(seen(factor * E + 0.1 * X)) == ""
