"""A backward rule that raises: what usually makes JAX say so."""

import verify

from ..faulty_rules.joined import joined, normal


def test_a_product_whose_sizes_do_not_meet_misses_a_transpose():
    def backward(args, y, g):
        x, w = args
        return g @ w, x.T @ g

    report = verify.check(joined(lambda x, w: x @ w, backward), normal(0, 4, 5), normal(1, 5, 3), cases=0)
    assert [f.argument for f in report.failures] == ["the backward rule"]
    assert "a transpose is missing or one too many (A for Aᵀ)" in report.failures[0].cause
