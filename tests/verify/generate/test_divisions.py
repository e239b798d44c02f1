"""Integers that divide the rows of another array."""

import numpy as np
import pytest

from verify.function_under_test import INTEGER, PERTURBED, Leaf
from verify.generate.divisions import divided

SUMS = frozenset({"cumsum"})


def leaves(integers, *shapes):
    given = [Leaf(f"a{n}", PERTURBED, np.ones(shape, np.float32)) for n, shape in enumerate(shapes)]
    return [Leaf("i", INTEGER, np.array(integers, np.int32)), *given]


@pytest.mark.parametrize("rows", [1, 2, 5, 40])
@pytest.mark.parametrize("count", [2, 3, 6])
def test_row_pointers_begin_at_0_and_end_at_the_rows(rows, count):
    pointers = divided(np.random.default_rng(0), 0, leaves([0, 2, 3, 6], (6, 2)), [(count,), (rows, 2)], frozenset())
    assert pointers is not None
    assert len(pointers) == count
    assert pointers[0] == 0
    assert pointers[-1] == rows
    assert np.all(np.diff(pointers) >= (count - 1 <= rows))


@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_sizes_of_groups_sum_to_the_rows(rows, count):
    sizes = divided(np.random.default_rng(0), 0, leaves([3, 0, 4], (7, 2)), [(count,), (rows, 2)], SUMS)
    assert sizes is not None
    assert len(sizes) == count
    assert sizes.sum() == rows
    assert sizes.min() >= 0


@pytest.mark.parametrize(
    ("example", "primitives"),
    [
        (leaves([0, 1, 1, 3], (4, 2), (3, 2)), SUMS),  # labels of four rows
        (leaves([0, 2], (2, 4)), SUMS),  # labels of two rows of four logits
        (leaves([0, 2, 3, 5], (6, 2)), SUMS),  # positions among six
        (leaves([3, 0, 4], (7, 2)), frozenset()),  # nothing sums them
        (leaves([1, 0, 2], (3, 2)), SUMS),  # labels that sum to their number
    ],
)
def test_other_integers_are_labels(example, primitives):
    assert divided(np.random.default_rng(0), 0, example, [np.shape(f.value) for f in example], primitives) is None
