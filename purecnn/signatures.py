"""Arguments: static options, which are hashable and chosen when a rule is compiled, and arrays."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

Options = tuple[tuple[str, Any], ...]


class Partial(functools.partial):
    """A `functools.partial` that equals another of the same function and arguments, where they are hashable."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Partial) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> tuple[Any, ...]:
        return self.func, self.args, tuple(sorted(self.keywords.items()))


def splitter(layer: str, function: Callable[..., Any], static: tuple[str, ...]) -> Callable[..., Any]:
    """(args, kwargs) -> the static options, with defaults, and the arrays: those behind no name in `static` and not
    keyword-only; of `*xs` each one."""
    signature = inspect.signature(function)
    several = {p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL}
    is_static = {p.name: p.kind is p.KEYWORD_ONLY or p.name in static for p in signature.parameters.values()}

    def split(*args, **kwargs) -> tuple[Options, tuple[Any, ...]]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        options = tuple((name, static_value(layer, name, given[name])) for name in given if is_static[name])
        arrays = (given[name] if name in several else (given[name],) for name in given if not is_static[name])
        return options, sum(arrays, ())

    return split


def static_value(layer: str, name: str, value: Any) -> Any:
    """Lists become tuples, so that `padding=[[1, 1], [2, 2]]` is as good as tuples; an array is refused."""
    if isinstance(value, list | tuple):
        return tuple(static_value(layer, name, item) for item in value)
    if not is_hashable(value):
        raise TypeError(f"{layer}: {name}: got {type(value).__name__}, expected a static (hashable) value")
    return value


def is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
