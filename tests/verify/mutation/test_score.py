"""Broken on purpose: a right rule's mutants are noticed, a blind check's are not."""

import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.mutation.score import Mutant
from verify.report.finding import UncheckableError

from ..faulty_rules.joined import joined, normal
from ..faulty_rules.products import dense, dense_backward


def test_breaks_of_a_dense_layer_are_noticed():
    score = verify.mutate(
        joined(dense, dense_backward), normal(1, 4, 3), normal(2, 3, 5), normal(3, 5), reference=dense, limit=16
    )
    assert len(score.mutants) == 16
    assert float(score) >= 0.95, str(score)
    assert "breaks noticed" in str(score)


@pytest.mark.slow
def test_a_break_that_changes_nothing_is_called_equivalent():
    def kept(args, y, g):
        return (g * jnp.where(args[0] > -jnp.inf, 1.0, 5.0).astype(g.dtype),)

    score = verify.mutate(joined(lambda x: x * 1, kept), normal(4, 3), limit=40)
    assert score.count("equivalent") >= 1  # > for ≥ at minus infinity
    assert not score.survivors


def test_a_survivor_is_listed():
    # Where nothing of the argument arrives at the output, no cotangent can be told from another.
    score = verify.Score("rule", (Mutant("equation 3", "survived"), Mutant("x", "caught")))
    assert float(score) == 0.5
    assert "survived: equation 3" in str(score)
    assert np.isclose(float(verify.Score("none", ())), 1.0)


def test_a_rule_that_is_wrong_to_begin_with_has_no_score():
    with pytest.raises(UncheckableError, match="wrong before"):
        verify.mutate(joined(lambda x: x * 3, lambda args, y, g: (g,)), normal(4, 3), limit=4)
