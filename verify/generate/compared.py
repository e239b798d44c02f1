"""Calls with an integer that the function itself compares with a number, where the example holds no such integer: a
label that is left out of a mean, a page that is none, a 0 in a mask of integers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import INTEGER
from verify.oracle.primal import CALLS, TRANSPARENT, inner, is_call, kept, walk
from verify.running import finite

# What the comparison with a number tells apart: this plus that number. Not `lt`, with which JAX itself counts negative
# indices from the end.
COMPARISONS = {"eq": 0, "ne": 0, "gt": 0, "ge": -1}
SAME = {"broadcast_in_dim", "convert_element_type", "copy", "expand_dims", "reshape", "squeeze", "transpose"}
UNKNOWN = object()


@dataclass(frozen=True)
class _Argument:
    position: int


def calls(example: CallUnderTest, fresh: CallUnderTest) -> Iterator[CallUnderTest]:
    """The numbers of the call `fresh` at the example's integers, one of which is what the function compares it with."""
    kinds = [example.tested.leaves[k].kind for k in example.tested.arrays]
    shown = [a if kind == INTEGER else b for kind, a, b in zip(kinds, example.arrays, fresh.arrays, strict=True)]
    for n, number in _numbers(example):
        before = np.asarray(shown[n])
        told = before.copy()
        told.flat[0 if number < before.min() else -1] = number  # what grows in the example grows
        arrays = tuple(told if k == n else a for k, a in enumerate(shown))
        name = example.tested.leaves[example.tested.arrays[n]].path
        case = replace(fresh, label=f"{name} with {number}, which the function tells apart", arrays=arrays)
        if _has_a_value(case):
            yield case


def _has_a_value(case: CallUnderTest) -> bool:
    """Whether the rule gives numbers there: with NaN a function says, since it cannot raise, that this is no call."""
    try:
        return finite(case.own[0])
    except Exception:  # it does not run, which `contract` says
        return True


def _numbers(example: CallUnderTest) -> list[tuple[int, int]]:
    """(position of an array of integers, a number that it does not hold) for each that the function tells apart."""
    kinds = [example.tested.leaves[k].kind for k in example.tested.arrays]
    arrays = {n: np.asarray(example.arrays[n]) for n, kind in enumerate(kinds) if kind == INTEGER}
    arrays = {n: a for n, a in arrays.items() if a.dtype.kind in "iu" and a.size}
    if not arrays:
        return []
    try:
        closed = jax.make_jaxpr(example.tested.flat(example.tested.rule, example.options))(*example.arrays)
        args = [_Argument(n) if n in arrays else UNKNOWN for n in range(len(example.arrays))]
        found: list[tuple[int, int]] = []
        _compare(closed, args, found)
    except Exception:  # it cannot be traced, which `contract` says
        return []
    return [
        (n, number)
        for n, number in dict.fromkeys(found)
        if number not in arrays[n] and np.can_cast(np.min_scalar_type(number), arrays[n].dtype)
    ]


def _compare(closed: Any, args: list[Any], found: list[tuple[int, int]]) -> list[Any]:
    """Collect the comparisons of arguments with numbers; the values are arguments, numbers or UNKNOWN."""

    def equation(eqn, values):
        name = eqn.primitive.name
        if name in TRANSPARENT or is_call(eqn, CALLS):
            return _compare(inner(eqn) if name in TRANSPARENT else kept(eqn, CALLS), values, found)
        if name in COMPARISONS and isinstance(values[0], _Argument) and isinstance(values[1], int):
            found.append((values[0].position, values[1] + COMPARISONS[name]))
        return values[:1] if name in SAME else [UNKNOWN] * len(eqn.outvars)

    def constant(value):
        return int(value) if np.ndim(value) == 0 and np.issubdtype(np.result_type(value), np.integer) else UNKNOWN

    return walk(closed, args, equation, constant)
