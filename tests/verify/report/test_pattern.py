"""Each pattern is named, from arrays that have it."""

import numpy as np
import pytest

from verify.report.pattern import pattern_of

E = np.random.default_rng(0).standard_normal((4, 6, 6, 3))


def changed(index, value):
    g = E.copy()
    g[index] = value(g[index]) if callable(value) else value
    return g


EVERY = slice(None)
CASES = {
    "one element": changed((1, 2, 3, 0), lambda v: v * 1.5),
    "zero, last row (axis 1)": changed((EVERY, -1), 0),
    "zero, last channel": changed((..., -1), 0),
    "zero, every sample but the first": changed(slice(1, None), 0),
    "sign, everywhere": -E,
    "×2, everywhere": 2 * E,
    "×1/4 (the batch size), everywhere": E / 4,
    "×1/3, first sample": changed(0, lambda v: v / 3),
    "flipped along axes (1, 2)": E[:, ::-1, ::-1],
    "flipped along axis 0": E[::-1],
    "transpose of axes 1 and 2": E.swapaxes(1, 2),
    "rolled by +1 along axis 2": np.roll(E, 1, 2),
    "permutation": np.random.default_rng(1).permutation(E.ravel()).reshape(E.shape),
    "zero, stride lattice: every 2 along axis 2, from 1": changed((EVERY, EVERY, slice(1, None, 2)), 0),
    "not finite, one element": changed((0, 0, 0, 0), np.nan),
    "offset by +0.5, everywhere": E + 0.5,
    "the same value at every element, everywhere": np.full_like(E, 0.3),
    "another factor in each channel, everywhere": E * [0.5, 2.0, 3.0],
    "another factor in each channel, first 2 channels": E * [0.5, 3.0, 1.0],
    "zero, border": np.pad(E[:, 1:-1, 1:-1], ((0, 0), (1, 1), (1, 1), (0, 0))),
}


@pytest.mark.parametrize("pattern", CASES)
def test_is_named(pattern):
    got = CASES[pattern]
    with np.errstate(invalid="ignore"):
        bad = ~(np.abs(got - E) <= 1e-9)
    named, cause = pattern_of(E, got, bad, batch=4)
    assert named == pattern
    assert cause


def test_what_cancels_but_for_rounding_is_zero():
    g = 1e-16 * E
    assert pattern_of(E, g, g != E)[0] == "zero, everywhere"


def test_ties_are_named():
    x = np.array([[1.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    e = np.arange(1.0, 7).reshape(2, 3)
    g = e + np.array([[0.3, -0.7, 0], [0, 0, 0]])
    assert pattern_of(e, g, g != e, x)[0] == "ties"


def test_a_factor_missing_in_some_channels_is_not_called_a_mixup():
    g, mixed = E * [0.5, 1.0, 3.0], E[..., [1, 0, 2]]
    assert "a scale" in pattern_of(E, g, g != E)[1]
    assert "mixed up" in pattern_of(E, mixed * 1.3, mixed != E)[1]


def test_of_labels_the_entry_that_is_picked_is_named_and_no_stride_where_labels_happen_to_be_odd():
    e = np.random.default_rng(0).standard_normal((4, 6))
    g = e.copy()
    g[np.arange(4), [3, 5, 1, 5]] += [0.1, 0.2, 0.3, 0.4]
    pattern, cause = pattern_of(e, g, g != e)
    assert pattern == "one element of every row"
    assert "label" in cause
    e, (rows, columns) = np.tile(e, (2, 1)), [(0, 0, 3, 5), (1, 3, 5, 1)]
    g = e.copy()
    g[rows, columns] += [0.1, 0.2, 0.3, 0.4]
    assert "lattice" not in pattern_of(e, g, g != e)[0]
