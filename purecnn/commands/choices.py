"""How the command line takes numbers, and one of several names, or none, without calling None a name of these."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from purecnn.train.config import Given

NUMBERS: dict[Any, str] = {int: "an integer", float: "a number"}

registry = ConstructorRegistry()
"""For `tyro.cli`, as a context: `with registry`."""


@registry.primitive_rule
def one_or_none(of: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """`Literal["a", "b"] | None`: a or b, and None too where a config or a recipe has another.

    `Literal["a", "given"]`: a, as only a program gives the other.
    """
    if get_origin(of.type) is Literal and {*get_args(Given)} < {*get_args(of.type)}:
        return _of_a_command(tuple(name for name in get_args(of.type) if name not in get_args(Given)))
    kinds = _kinds(of)
    names = [get_args(kind) for kind in kinds if get_origin(kind) is Literal]
    if len(kinds) != 2 or type(None) not in kinds or not names:
        return None
    choices: tuple[str, ...] = names[0]

    def chosen(words: list[str]) -> str | None:
        if words == ["None"]:
            return None
        if words[0] not in choices:
            raise ValueError(f"got {words[0]!r}, expected one of {', '.join(choices)}")
        return words[0]

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{{{','.join(choices)}}}",
        instance_from_str=chosen,
        is_instance=lambda value: value is None or value in choices,
        str_from_instance=lambda value: [str(value)],
    )


@registry.primitive_rule
def number(of: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """`int`, `float`, or one of these or None: of other words the error says what is expected, not what Python says."""
    kinds = [kind for kind in _kinds(of) or [of.type] if kind is not type(None)]
    if len(kinds) != 1 or kinds[0] not in NUMBERS:
        return None
    (kind,), optional = kinds, kinds != [of.type]

    def parsed(words: list[str]) -> Any:
        if optional and words == ["None"]:
            return None
        try:
            return kind(words[0])
        except ValueError:
            raise ValueError(f"got {words[0]!r}, expected {NUMBERS[kind]}") from None

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.__name__.upper(),
        instance_from_str=parsed,
        is_instance=lambda value: isinstance(value, kind) or (optional and value is None),
        str_from_instance=lambda value: [str(value)],
    )


def _kinds(of: PrimitiveTypeInfo) -> tuple[Any, ...]:
    """The types of a union; none of another type."""
    return get_args(of.type) if get_origin(of.type) in (Union, types.UnionType) else ()


def _of_a_command(choices: tuple[str, ...]) -> PrimitiveConstructorSpec[str]:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{{{','.join(choices)}}}",
        instance_from_str=lambda words: words[0],
        is_instance=lambda value: isinstance(value, str),
        str_from_instance=lambda value: [value],
        choices=choices,
    )
