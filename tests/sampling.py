"""Cases that are marked slow: continuous integration leaves them out, `make slow-proofs` runs them."""

import pytest


def one_in(n, cases):
    """All but the first of every `n` cases are slow."""
    return slow([case for k, case in enumerate(cases) if k % n], cases)


def slow(some, cases):
    """`some` of the cases are slow."""
    return [pytest.param(case, marks=pytest.mark.slow) if any(case is one for one in some) else case for case in cases]
