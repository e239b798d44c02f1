"""Cases that are marked slow: continuous integration leaves them out, `make slow-proofs` runs them."""

import pytest


def one_in(n, cases):
    """All but the first of every `n` cases are slow."""
    return slow_but(list(cases)[::n], cases)


def slow_but(some, cases):
    """All but `some` of the cases are slow."""
    return [case if any(case is one for one in some) else pytest.param(case, marks=pytest.mark.slow) for case in cases]
