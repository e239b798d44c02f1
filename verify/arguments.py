"""What a rule calls its arguments, and which of its options may vary."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def names(rule: Callable, count: int) -> list[str]:
    fallback = [f"args[{n}]" for n in range(count)]
    try:
        parameters = list(inspect.signature(rule).parameters.values())
    except (TypeError, ValueError):
        return fallback
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return (names + fallback[len(names) :])[:count]


def _not_given(fun: Callable, count: int) -> tuple[dict[str, inspect.Parameter], bool]:
    try:
        parameters = inspect.signature(fun).parameters
    except (TypeError, ValueError):
        return {}, False
    named = {n: p for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    left = [(n, p) for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD][count:]
    named |= {n: p for n, p in left if p.default is not p.empty}  # static or default: said by name
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def shared_options(rule: Callable, reference: Callable | None, count: int) -> dict[str, inspect.Parameter]:
    """Options may vary only where rule and reference would both hear of it, from the same default."""
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
) -> tuple[dict[str, inspect.Parameter], dict[str, int]]:
    """Arguments in which no leaf is an array, as options with the given value for a default; where those that were
    given by position stand."""
    try:
        parameters = inspect.signature(rule).parameters
    except (TypeError, ValueError):
        parameters = {}
    by_position = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD][: len(args)]
    positions = {name: n for n, name in enumerate(by_position) if n not in arrays}
    values = {name: args[n] for name, n in positions.items()} | {n: v for n, v in kwargs.items() if n not in arrays}
    kind = inspect.Parameter.KEYWORD_ONLY
    notes = {n: parameters[n].annotation for n in values if n in parameters}
    return {
        n: inspect.Parameter(n, kind, default=v, annotation=notes.get(n, Any)) for n, v in values.items()
    }, positions
