"""Integers that a function only reads or writes rows by. In the example they may stand in order by chance, as those of
the identity permutation do; of positions that are computed with, or that JAX is told are sorted, the order is meant."""

from typing import Any

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.primal import CALLS, TRANSPARENT, inner, is_call, kept, walk

# What JAX makes of an index before it reads: a count from the end, another shape or dtype.
PREPARES = {
    *("lt", "add", "select_n", "broadcast_in_dim", "convert_element_type", "copy", "expand_dims", "reshape"),
    *("squeeze", "transpose", "stop_gradient"),
}


def is_identity(labels: np.ndarray) -> bool:
    """Whether every row is 0, 1, 2, …"""
    return labels.ndim > 0 and labels.shape[-1] > 1 and bool(np.all(labels == np.arange(labels.shape[-1])))


def in_any_order(case: CallUnderTest, n: int) -> bool:
    """Whether the n-th array, of integers, is nothing but rows to read or write, which JAX is not told are sorted."""
    key = ("in any order", n, repr(sorted(case.options.items())))
    if key not in case.tested.compiled:
        case.tested.compiled[key] = _in_any_order(case, n)
    return case.tested.compiled[key]


def _in_any_order(case: CallUnderTest, n: int) -> bool:
    meant: list[Any] = []

    def equation(eqn, indices):
        name, none = eqn.primitive.name, [False] * len(eqn.outvars)
        if not any(indices):
            return none
        if name in TRANSPARENT or is_call(eqn, CALLS):
            return walk(kept(eqn, CALLS) if is_call(eqn, CALLS) else inner(eqn), indices, equation, lambda _: False)
        if name in PREPARES:
            return [True] * len(eqn.outvars)
        rows = (name == "gather" or name.startswith("scatter")) and not eqn.params.get("indices_are_sorted")
        if not rows or [k for k, index in enumerate(indices) if index] != [1]:
            meant.append(eqn)
        return none

    try:
        closed = jax.make_jaxpr(case.tested.flat(case.tested.rule, case.options))(*case.tested.example)
        returned = walk(closed, [k == n for k in range(len(case.tested.example))], equation, lambda _: False)
    except Exception:  # it does not take the example so
        return False
    return not meant and not any(returned)
