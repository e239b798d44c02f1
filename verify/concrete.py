"""Functions that `jax.grad` takes and `jax.jit` does not: some of their numbers must be known while they are traced.

Constants of the function itself are computed while it is traced. Where that does not suffice, its integers and booleans
are held as well: a number of steps, a degree.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from verify.function_under_test import FunctionUnderTest, describe, is_array
from verify.report.finding import UncheckableError

UNKNOWN = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)
TRACER = "Tracer("  # in the message of whoever asks a traced number what it is: for a shape, an index
INTEGERS = "the integer arrays are held as they are: the function must know them while it is traced"
ADVICE = "(`jax.jit` does not take it either: give the number as a Python value, or use `jax.lax.cond` or `while_loop`)"


@dataclass(frozen=True, eq=False)
class Held:
    """An array that is part of the function, as Python values are."""

    value: Any

    def __repr__(self) -> str:
        return str(self.value)


def described(
    rule: Callable, args: Sequence[Any], kwargs: Mapping[str, Any] | None, **others: Any
) -> tuple[FunctionUnderTest, list[str]]:
    """`describe`, and notes on what was held for it. Raises UncheckableError as that does."""
    try:
        return describe(rule, args, kwargs=kwargs, **others), []
    except UncheckableError as error:
        if not isinstance(error.__cause__, UNKNOWN) and TRACER not in str(error.__cause__):
            raise
        for function, given, named, note in _held(rule, tuple(args), dict(kwargs or {})):
            try:
                return describe(function, given, kwargs=named, **others), note
            except UncheckableError:
                continue
        raise UncheckableError(f"{error} {ADVICE}") from error.__cause__


def _held(rule: Callable, args: tuple, kwargs: dict) -> Iterator[tuple[Callable, tuple, dict, list[str]]]:
    function = _with_constants(rule)
    yield function, args, kwargs, []
    if any(map(_is_integer, jax.tree_util.tree_leaves((args, kwargs)))):
        given, named = jax.tree.map(lambda a: Held(a) if _is_integer(a) else a, (args, kwargs))
        yield function, given, named, [INTEGERS]


def _with_constants(rule: Callable) -> Callable:
    """`rule`, what no argument decides in it being computed while it is traced."""

    @functools.wraps(rule)
    def function(*args, **kwargs):
        args, kwargs = jax.tree.map(lambda a: a.value if isinstance(a, Held) else a, (args, kwargs))
        with jax.ensure_compile_time_eval():
            return rule(*args, **kwargs)

    return function


def _is_integer(value: Any) -> bool:
    return is_array(value) and (jnp.issubdtype(value.dtype, jnp.integer) or value.dtype == bool)
