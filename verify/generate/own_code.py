"""What a rule's own code holds: numbers and words that it was written for."""

import functools
import types
from collections.abc import Iterator, Sequence
from typing import Any

from verify.program.closures import PARTS, RULES
from verify.program.identity import filled

MOST_PARTS = 1000  # of a rule and its functions that are looked at
MOST_WORDS = 3


def parts(rule: Any) -> Iterator[Any]:
    """The values in a rule's code: of its own functions, of those that they close over, of those of the same package
    that they name, and of their modules' constants."""
    queue, seen = [rule], set[int]()
    while queue and len(seen) < MOST_PARTS:
        value = queue.pop(0)
        yield value
        if id(value) not in seen:
            seen.add(id(value))
            queue += _held(value)


def words_beside(rule: Any, word: str) -> list[str]:
    """Words that stand beside `word` in the code, as "sum" beside "mean" in a function that compares with both, or with
    one where the other is a default, or in a table of both."""
    found: dict[str, None] = {}
    for part in parts(rule):
        if isinstance(part, types.FunctionType):
            part = [*part.__code__.co_consts, *(part.__defaults__ or ()), *(part.__kwdefaults__ or {}).values()]
        elif isinstance(part, types.CodeType):  # of a function inside
            part = part.co_consts
        if isinstance(part, tuple | list | dict | set | frozenset):
            texts = [t for t in part if isinstance(t, str)]
            found.update(dict.fromkeys(texts) if word in texts else {})
    return [t for t in found if t != word and t.isidentifier()][:MOST_WORDS]


def words_about(rule: Any, name: str) -> list[str]:
    """Words in the code of those functions that have an argument or variable `name`: what an option that is None may
    be, as "silu" is where an `activation` is compared with it."""
    found: dict[str, None] = {}
    for part in parts(rule):
        code = part.__code__ if isinstance(part, types.FunctionType) else part
        if isinstance(code, types.CodeType) and name in (*code.co_varnames, *code.co_freevars):
            groups = [sorted(c, key=str) if isinstance(c, tuple | frozenset) else (c,) for c in code.co_consts]
            found.update(dict.fromkeys(t for group in groups for t in group if isinstance(t, str)))
    return [t for t in found if t.isidentifier() and t != name][:MOST_WORDS]


def _package(function: Any) -> str:
    return (getattr(function, "__module__", None) or "").partition(".")[0]


def _held(value: Any) -> Sequence[Any]:
    """What a value is made of."""
    if isinstance(value, RULES):
        return [getattr(value, part, None) for part in PARTS]
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, tuple | list):
        return value
    if isinstance(value, types.CodeType):
        return value.co_consts
    if not isinstance(value, types.FunctionType):
        return [getattr(value, "__wrapped__", None)]
    named = [value.__globals__.get(name) for name in _names(value.__code__)]
    named = [part for part in named if not callable(part) or _package(part) == _package(value)]
    cells = [cell.cell_contents for cell in value.__closure__ or () if filled(cell)]
    defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
    return [value.__code__, *named, *cells, *defaults]


def _names(code: types.CodeType) -> Iterator[str]:
    """The global names in a function's code, and in that of the functions inside."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names(inner)
