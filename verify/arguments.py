"""What a rule calls its arguments, and which of its options may vary."""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def names(rule: Callable, count: int) -> list[str]:
    fallback = [f"args[{n}]" for n in range(count)]
    names = [p.name for p in _parameters(rule).values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return (names + fallback[len(names) :])[:count]


def _parameters(fun: Callable) -> dict[str, inspect.Parameter]:
    """By name, annotations written as text resolved where they can be; empty where Python knows no signature."""
    fun = _of_custom_gradient(fun)
    try:
        parameters = inspect.signature(fun).parameters
    except (TypeError, ValueError):
        return {}
    while isinstance(fun, functools.partial):
        fun = fun.func
    names = getattr(inspect.unwrap(fun), "__globals__", {})
    return {n: p.replace(annotation=_resolved(p.annotation, names)) for n, p in parameters.items()}


def _of_custom_gradient(fun: Any) -> Any:
    """The function that `jax.custom_gradient` wraps in one of any arguments, whose names would be lost."""
    inside = getattr(fun, "fun", None)
    code = getattr(inside, "__code__", None)  # from JAX 0.12 on only it keeps the wrapper's own name
    if code is None or not code.co_qualname.startswith("custom_gradient.<locals>"):
        return fun
    return next((c.cell_contents for c in getattr(inside, "__closure__", None) or () if callable(c.cell_contents)), fun)


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    alone = types.SimpleNamespace(__annotations__={"it": annotation})  # one unknown name must not hide the others
    try:
        return typing.get_type_hints(alone, names)["it"]
    except Exception:  # an annotation may raise anything
        return annotation


def _not_given(fun: Callable, count: int) -> tuple[dict[str, inspect.Parameter], bool]:
    parameters = _parameters(fun)
    named = {n: p for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    left = [(n, p) for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD][count:]
    named |= {n: p for n, p in left if p.default is not p.empty}  # static or default: said by name
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def shared_options(rule: Callable, reference: Callable | None, count: int) -> dict[str, inspect.Parameter]:
    """Options that rule and reference both take, with the same default: others may not vary."""
    own, _ = _not_given(rule, count)
    if reference is None:
        return own
    theirs, anything = _not_given(reference, count)
    return {n: p for n, p in own.items() if anything or (n in theirs and _same(theirs[n].default, p.default))}


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:
        return a is b


def given(
    rule: Callable, args: Sequence[Any], kwargs: Mapping[str, Any], arrays: set[int | str]
) -> tuple[dict[str, inspect.Parameter], dict[str, int], tuple[str, ...]]:
    """Arguments in which no leaf is an array, as options with the given value for a default; where those that were
    given by position stand; and arguments that hold arrays and may be left out, being None by default."""
    parameters = _parameters(rule)
    by_position = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][: len(args)]
    positions = {name: n for n, name in enumerate(by_position) if n not in arrays}
    held = {name: n for n, name in enumerate(by_position) if n in arrays} | {n: n for n in kwargs if n in arrays}
    optional = [name for name in held if name in parameters and parameters[name].default is None]
    places = {name: n for name in optional if isinstance(n := held[name], int)}
    values = {name: args[n] for name, n in positions.items()} | {n: v for n, v in kwargs.items() if n not in arrays}
    kind = inspect.Parameter.KEYWORD_ONLY
    notes = {n: parameters[n].annotation for n in values if n in parameters}
    options = {n: inspect.Parameter(n, kind, default=v, annotation=notes.get(n, Any)) for n, v in values.items()}
    return options, positions | places, tuple(optional)
