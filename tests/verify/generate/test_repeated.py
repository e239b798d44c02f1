"""An index that occurs twice, where all indices of the example are different."""

import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import LONG, assert_only_the_fault_is_seen, with_arguments

RNG = np.random.default_rng(3)
X = RNG.standard_normal((6, 3)).astype(np.float32)
CHECKS = ("contract", "gradient", "forward")


def coo(v, x, row, column):
    return jnp.zeros(4, v.dtype).at[row].add(v * x[column])


def coo_bwd(res, g, *, wrong):
    v, x, row, column = res
    zeros = jnp.zeros_like(x).at[column]
    return g[row] * x[column], (zeros.set if wrong else zeros.add)(v * g[row]), None, None


def picked(x, indices):
    return x[indices]


def picked_bwd(res, g, *, wrong):
    zeros = jnp.zeros_like(res[0]).at[res[1]]
    return (zeros.set if wrong else zeros.add)(g), None


FAULTS = {
    "columns that are a permutation, beside rows that repeat": (
        *(coo, coo_bwd, X[0, :1] * np.ones(4, np.float32), X[:4, 0]),
        *(np.array([0, 0, 1, 3]), np.array([2, 0, 3, 1])),
    ),
    "different indices by chance": (picked, picked_bwd, X, np.array([4, 1, 5, 0])),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_cotangents_that_meet_are_added(fault):
    assert_only_the_fault_is_seen(*FAULTS[fault], checks=CHECKS)


@pytest.mark.parametrize("indices", [(3, 1, 0, 5, 2, 4), (0, 2, 3, 5)])
def test_what_a_permutation_or_rows_in_order_promise_is_a_note(indices):
    rule = with_arguments(picked, lambda res, g: picked_bwd(res, g, wrong=True))
    report = verify.check(rule, X, np.array(indices), checks=CHECKS, seconds=LONG)
    assert report.ok, report
    assert any("an index that occurs twice" in str(note) for note in report.notes)


def test_the_inverse_permutation_is_right():
    rule = with_arguments(picked, lambda res, g: (g[jnp.argsort(res[1])], None))
    report = verify.check(rule, X, np.array([3, 1, 0, 5, 2, 4]), checks=CHECKS, seconds=LONG)
    assert report.ok, report


@pytest.mark.parametrize("promised", [False, True])
def test_an_index_that_the_function_itself_needs_once_stays_so(promised):
    def written(x, rows, v):
        return (x.at[rows].add if promised else x.at[rows].set)(v, unique_indices=promised)

    def bwd(res, g):
        return g if promised else g.at[res[1]].set(0), None, g[res[1]]

    report = verify.check(with_arguments(written, bwd), X, np.array([3, 0, 2, 5]), X[:4] + 1, checks=CHECKS)
    assert report.ok, report
    assert not any("occurs twice" in str(outcome) for outcome in report.outcomes)
