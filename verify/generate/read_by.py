"""Integers that a function only reads or writes rows by. In the example they may stand in order by chance, as those of
the identity permutation do; of positions that are computed with, or that JAX is told are sorted, the order is meant."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.primal import CALLS, TRANSPARENT, inner, is_call, kept, walk

# What JAX makes of an index before it reads: a count from the end, another shape or dtype.
PREPARES = {
    *("lt", "add", "select_n", "broadcast_in_dim", "convert_element_type", "copy", "expand_dims", "reshape"),
    *("squeeze", "transpose", "stop_gradient"),
}

RESHAPES = PREPARES - {"lt", "add", "select_n", "convert_element_type"}


def is_identity(labels: np.ndarray) -> bool:
    """Whether every row is 0, 1, 2, …"""
    return labels.ndim > 0 and labels.shape[-1] > 1 and bool(np.all(labels == np.arange(labels.shape[-1])))


def in_any_order(case: CallUnderTest, n: int) -> bool:
    """Whether the n-th array, of integers, is nothing but rows to read or write, which JAX is not told are sorted."""
    return _used_only(case, n, "in any order", PREPARES, _as_rows)


def as_numbers(case: CallUnderTest, n: int) -> bool:
    """Whether the n-th array, of integers, is made floating numbers before anything else, as times and angles are."""
    return _used_only(case, n, "as numbers", RESHAPES, _as_floats)


def _as_rows(eqn: Any, indices: list[bool]) -> bool:
    reads = eqn.primitive.name == "gather" or eqn.primitive.name.startswith("scatter")
    return reads and not eqn.params.get("indices_are_sorted") and [k for k, i in enumerate(indices) if i] == [1]


def _as_floats(eqn: Any, indices: list[bool]) -> bool:
    return eqn.primitive.name == "convert_element_type" and jnp.issubdtype(eqn.outvars[0].aval.dtype, jnp.floating)


def _used_only(case: CallUnderTest, n: int, how: str, prepares: set[str], use: Callable) -> bool:
    key = (how, n, repr(sorted(case.options.items())))
    if key not in case.tested.compiled:
        case.tested.compiled[key] = _every_use(case, n, prepares, use)
    return case.tested.compiled[key]


def _every_use(case: CallUnderTest, n: int, prepares: set[str], use: Callable) -> bool:
    meant: list[Any] = []

    def equation(eqn, indices):
        name, none = eqn.primitive.name, [False] * len(eqn.outvars)
        if not any(indices):
            return none
        if name in TRANSPARENT or is_call(eqn, CALLS):
            return walk(kept(eqn, CALLS) if is_call(eqn, CALLS) else inner(eqn), indices, equation, lambda _: False)
        if use(eqn, indices):
            return none
        if name in prepares:
            return [True] * len(eqn.outvars)
        meant.append(eqn)
        return none

    try:
        closed = jax.make_jaxpr(case.tested.flat(case.tested.rule, case.options))(*case.tested.example)
        returned = walk(closed, [k == n for k in range(len(case.tested.example))], equation, lambda _: False)
    except Exception:  # it does not take the example so
        return False
    return not meant and not any(returned)
