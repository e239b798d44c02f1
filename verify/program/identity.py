"""What a rule is called, and when two of them are the same: a rule may be made anew at every call."""

import functools
import types
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

import jax
import numpy as np

from verify.oracle.instances import is_instance, kept_beside


def name_of(rule: Any) -> str:
    """Module and qualified name of the function that a rule is of. One that a wrapper made, such as Equinox's
    `filter_custom_vjp`, has its line and the name of the function inside it, too."""
    if is_instance(rule):
        return f"{type(rule).__module__}.{type(rule).__qualname__}"
    fun = _bare(rule.fun)
    name = _named(fun)
    if "<" not in name or not hasattr(fun, "__code__"):
        return name
    inside = next((f for f in _inside(fun) if f.__module__ != fun.__module__), None)
    return f"{name} of {_named(inside)}" if inside else f"{name} (line {fun.__code__.co_firstlineno})"


def _bare(fun: Any) -> Any:
    while isinstance(fun, functools.partial) or hasattr(fun, "__wrapped__"):
        fun = fun.func if isinstance(fun, functools.partial) else fun.__wrapped__
    return fun


def _named(fun: Any) -> str:
    return f"{getattr(fun, '__module__', '?')}.{getattr(fun, '__qualname__', type(fun).__name__)}"


def _inside(fun: Any, depth: int = 0) -> Iterator[types.FunctionType]:
    """The functions that one closes over, also as the attribute of an object."""
    cells = [c.cell_contents for c in getattr(fun, "__closure__", None) or () if filled(c)]
    cells += [getattr(c, a) for c in cells for a in ("fn", "fun", "func") if hasattr(c, a)]
    for value in map(_bare, cells):
        if isinstance(value, types.FunctionType) and depth < 3:
            yield value
            yield from _inside(value, depth + 1)


def key_of(value: Any, depth: int = 0) -> Any:
    """What makes two functions, or two static values, the same: code and what it closes over. A rule that is made anew
    at every call is one rule."""
    if isinstance(value, functools.partial):
        return (key_of(value.func, depth), repr(_keys(value.args, depth)), repr(_keys(value.keywords.items(), depth)))
    value = getattr(value, "__wrapped__", value)
    if isinstance(value, types.FunctionType):
        cells = [c.cell_contents for c in value.__closure__ or () if depth < 3 and filled(c)]
        return (value.__code__, tuple(map(repr, _keys([*cells, *(value.__defaults__ or ())], depth))))
    if value is None or isinstance(value, bool | int | float | str | bytes | tuple | np.dtype):
        return repr(value)
    return ("array", tuple(np.shape(value))) if is_array(value) else type(value).__qualname__


def key_of_instance(prim: Any) -> Any:
    """Of a hijax primitive its class and all that it holds, whatever its own `==` looks at."""
    held = {**prim.params, **kept_beside(prim)}
    return (type(prim), str(prim.out_avals_flat), repr([(k, key_of(v)) for k, v in sorted(held.items())]))


def _keys(values: Any, depth: int) -> Sequence[Any]:
    return [key_of(v, depth + 1) for v in values]


def is_array(leaf: Any) -> TypeGuard[np.ndarray | np.generic | jax.Array]:
    return isinstance(leaf, np.ndarray | np.generic | jax.Array)


def filled(cell: Any) -> bool:
    """Whether a closure's cell holds anything yet."""
    try:
        cell.cell_contents  # noqa: B018 (raises where the name is not yet bound)
    except ValueError:
        return False
    return True
