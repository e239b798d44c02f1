"""Sizes at which a reshape of the function cuts across rows, which it does not in the example.

`x.reshape(n, groups, -1)` takes 3 channels of 4 by 3 in 2 groups as well, of a channel and a half each, and a single
channel in 2 halves: the function has numbers there, and a rule that counts channels is written for groups of channels.
"""

from collections.abc import Mapping
from itertools import chain, pairwise
from typing import Any

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.primal import equations

Cuts = list[list[set[int]]]  # for each reshape, where each new axis begins: the old axes at, or within which, it may be


def cuts_rows(example: CallUnderTest, shapes: list[tuple[int, ...]], options: Mapping[str, Any]) -> bool:
    """Whether a new axis begins in the middle of an old one that it does not divide, or within another old one."""
    if "reshape" not in example.tested.primitives:
        return False
    before = _cuts(example, [a.shape for a in example.arrays], example.options)
    after = _cuts(example, shapes, options)
    if all(chain(*before)) and not all(chain(*after)):
        return True
    comparable = [len(cuts) for cuts in before] == [len(cuts) for cuts in after]
    pairs = zip(chain(*before), chain(*after), strict=True) if comparable else ()
    return any(b and not a & b for b, a in pairs)


def _cuts(example: CallUnderTest, shapes: list[tuple[int, ...]], options: Mapping[str, Any]) -> Cuts:
    found = example.tested.compiled
    key = ("cuts", tuple(shapes), repr(sorted(options.items())))
    if key not in found:
        arrays = [jax.ShapeDtypeStruct(s, a.dtype) for s, a in zip(shapes, example.arrays, strict=True)]
        try:
            closed = jax.make_jaxpr(example.tested.oracle(options))(*arrays)
            found[key] = [_of(eqn) for eqn in equations(closed) if eqn.primitive.name == "reshape"]
        except Exception:  # it cannot be traced, which `contract` says
            found[key] = []
    return found[key]


def _of(eqn: Any) -> list[set[int]]:
    old, new = (np.cumprod([1, *v.aval.shape[::-1]]) for v in (eqn.invars[0], eqn.outvars[0]))
    return [_axes(old, int(begin)) for begin in new[1:-1]] if old.all() else []


def _axes(old: np.ndarray, begin: int) -> set[int]:
    """The axes, counted from the last, of strides `old`, that a new axis of stride `begin` divides evenly."""
    within = [(k, inner, outer) for k, (inner, outer) in enumerate(pairwise(old))]
    return {k for k, inner, outer in within if inner <= begin <= outer and not (begin % inner or outer % begin)}
