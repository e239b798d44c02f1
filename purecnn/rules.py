"""Join a primal to its hand-written backward rule.

`jax.custom_vjp` takes no keyword-only arguments and passes static options to the backward rule first. Here a rule is
written the way it is read:

    @rule
    def name(x, w, *, option=...): ...                  # the primal
    def name_fwd(x, w, *, option=...): ...              # -> y, residuals
    def name_bwd(residuals, y_bar, *, option=...): ...  # -> one cotangent per positional argument
    name.defvjp(name_fwd, name_bwd)

Positional arguments are arrays (or `None`); keyword-only arguments, and those named in `static`, are static, must be
hashable, and reach all three functions under their own names.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast, runtime_checkable

import jax

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


@runtime_checkable
class Rule(Protocol[P, R_co]):
    """A function with a backward rule of its own; `__wrapped__` is the primal without it, `fwd` and `bwd` its pair."""

    __name__: str
    __wrapped__: Callable[..., Any]
    fwd: Callable[..., Any]
    bwd: Callable[..., Any]
    static: tuple[str, ...]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None: ...


def rule(primal: Callable[P, R_co], *, static: tuple[str, ...] = ()) -> Rule[P, R_co]:
    """Give `primal` a place for its backward rule (`defvjp`); see the module's docstring."""
    signature = inspect.signature(primal)
    is_static = {p.name: p.kind is p.KEYWORD_ONLY or p.name in static for p in signature.parameters.values()}

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def joined(options, *args):
        return primal(*args, **dict(options))  # type: ignore[call-arg]

    @functools.wraps(primal)
    def call(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        options = tuple((name, _static(primal.__name__, name, given[name])) for name in given if is_static[name])
        return joined(options, *(given[name] for name in given if not is_static[name]))

    def defvjp(fwd, bwd):
        joined.defvjp(
            lambda options, *args: fwd(*args, **dict(options)),
            lambda options, residuals, y_bar: bwd(residuals, y_bar, **dict(options)),
        )
        call.fwd, call.bwd = fwd, bwd  # type: ignore[attr-defined]

    call.fwd = call.bwd = None  # type: ignore[attr-defined]  # until defvjp
    call.defvjp, call.static = defvjp, static  # type: ignore[attr-defined]
    return cast("Rule[P, R_co]", call)


def _static(layer: str, name: str, value):
    """Lists become tuples, so that `padding=[[1, 1], [2, 2]]` is as good as tuples; an array is refused."""
    if isinstance(value, list | tuple):
        return tuple(_static(layer, name, item) for item in value)
    try:
        hash(value)
    except TypeError:
        raise TypeError(f"{layer}: {name}: got {type(value).__name__}, expected a static (hashable) value") from None
    return value
