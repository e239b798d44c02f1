"""What a rule's own code holds: numbers and words that it was written for."""

import dis
import functools
import types
from collections.abc import Iterator, Sequence
from typing import Any

from verify.program.closures import PARTS, RULES
from verify.program.identity import filled

MOST_PARTS = 1000  # of a rule and its functions that are looked at
MOST_WORDS = 3
COMPARES = ("COMPARE_OP", "CONTAINS_OP")


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


def words_compared(rule: Any, name: str) -> list[str]:
    """Words with which the code compares an argument or variable `name`: what an option that is None may be, as "silu"
    is in `activation == "silu"` and in `activation in ("silu", "swish")`."""
    found: dict[str, None] = {}
    for part in parts(rule):
        if isinstance(part, types.FunctionType | types.CodeType):
            for words in _compared(part, name):
                found.update(dict.fromkeys([words] if isinstance(words, str) else sorted(words, key=str)))
    return [t for t in found if isinstance(t, str)][:MOST_WORDS]


def _compared(code: Any, name: str) -> Iterator[Any]:
    """The constants, words or groups of them, beside `name` in the comparisons of one function."""
    steps = list(dis.get_instructions(code))
    for first, second, third in zip(steps, steps[1:], steps[2:], strict=False):
        if third.opname in COMPARES and name in (first.argval, second.argval):
            constants = [s.argval for s in (first, second) if s.opname == "LOAD_CONST"]
            yield from (c for c in constants if isinstance(c, str | tuple | frozenset))


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
