"""Rules that close over values of the program: `def f(x): return x * scale` inside of a function of `scale`.

While the program is traced such a value is a tracer, and of no use afterwards. It is found in the cells of the rule's
functions, brought out with the arguments, and put back as an array into a copy of the rule.
"""

import functools
import types
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from verify.program.identity import filled, is_array

RULES = (jax.custom_vjp, jax.custom_jvp)
PARTS = ("fun", "fwd", "bwd", "jvp")  # the functions that make up a rule


def closed_over(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """The arrays in the closures of a rule and of the functions that they hold, each once."""
    seen = set() if seen is None else seen
    for leaf in jax.tree_util.tree_leaves(value):
        if id(leaf) in seen:
            continue
        seen.add(id(leaf))
        if is_array(leaf):
            yield leaf
        for inner in _held(leaf):
            yield from closed_over(inner, seen)


def _held(leaf: Any) -> list[Any]:
    if isinstance(leaf, RULES):
        return [getattr(leaf, part, None) for part in PARTS]
    if isinstance(leaf, functools.partial):
        return [leaf.func, leaf.args, leaf.keywords]
    if isinstance(leaf, types.FunctionType):
        return [cell.cell_contents for cell in leaf.__closure__ or () if filled(cell)]
    return []


def replaced(value: Any, arrays: Mapping[int, Any], memo: dict[int, Any] | None = None) -> Any:
    """`value` with the arrays of these ids exchanged, wherever they are closed over; functions and rules are copied."""
    memo = {} if memo is None else memo
    return jax.tree_util.tree_map(lambda leaf: _replaced(leaf, arrays, memo), value)


def _replaced(leaf: Any, arrays: Mapping[int, Any], memo: dict[int, Any]) -> Any:
    if id(leaf) in arrays:
        return arrays[id(leaf)]
    if id(leaf) in memo:  # a backward rule may call the rule itself
        return memo[id(leaf)]
    if isinstance(leaf, RULES):
        made = memo[id(leaf)] = object.__new__(type(leaf))  # `copy` cannot make one
        made.__dict__.update(leaf.__dict__)
        for part in PARTS:
            if getattr(leaf, part, None) is not None:
                setattr(made, part, replaced(getattr(leaf, part), arrays, memo))
        return made
    if isinstance(leaf, functools.partial):
        parts = (replaced(part, arrays, memo) for part in (leaf.func, leaf.args, leaf.keywords))
        func, args, keywords = parts
        return functools.partial(func, *args, **keywords)
    if isinstance(leaf, types.FunctionType) and leaf.__closure__:
        cells = tuple(types.CellType() for _ in leaf.__closure__)
        made = types.FunctionType(leaf.__code__, leaf.__globals__, leaf.__name__, leaf.__defaults__, cells)
        made.__kwdefaults__, made.__dict__ = leaf.__kwdefaults__, dict(leaf.__dict__)
        made.__qualname__, made.__module__ = leaf.__qualname__, leaf.__module__
        memo[id(leaf)] = made
        for cell, old in zip(cells, leaf.__closure__, strict=True):
            if filled(old):
                cell.cell_contents = replaced(old.cell_contents, arrays, memo)
        return made
    return leaf
