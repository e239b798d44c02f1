"""Join a primal to its hand-written backward rule.

    @rule
    def name(x, w, *, option=...): ...                  # the primal
    @name.def_fwd
    def name_fwd(x, w, *, option=...): ...              # -> y, residuals
    @name.def_bwd
    def name_bwd(residuals, y_bar, *, option=...): ...  # -> one cotangent per positional argument

Positional arguments are arrays (or `None`), any number for `*xs`; keyword-only arguments, and those named in `static`,
are static, must be hashable, and reach all three functions under their own names. (`jax.custom_vjp` has none.)
Those in `traceable`, numbers that people sweep or schedule, may be arrays too, traced or not; each name comes with the
check of its value. They are held constant: `jax.grad` by such a number is 0.

This file, and not the page of a rule, handles what is common to all rules, called through `jax.grad` or by hand:

- each of the three is compiled once per options and shapes, so that calls outside `jit` do not compile anew;
- profiles and HLO metadata name it: `conv2d_bwd`;
- the backward rule runs at the matmul precision that was set when the forward rule was called, as autodiff's products
  do, though it is traced when the caller's `with` has ended;
- on any mesh each cotangent has its primal's type (`shardings`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar, cast, runtime_checkable

import jax
import jax.numpy as jnp

from purecnn.mapped_axes import mapped_axes, within
from purecnn.shardings import Placement, cast_to_common, like_primals, on_any_mesh, placements
from purecnn.signatures import Checks, arguments_of, forward_mode_explained, one_each, splitter, unsplit

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


@runtime_checkable
class Rule(Protocol[P, R_co]):
    """A function and its pair, `fwd` and `bwd`; `primal` runs without them, `__wrapped__` is the primal as written."""

    __name__: str
    __wrapped__: Callable[..., Any]
    primal: Callable[..., Any]
    fwd: Callable[..., Any]
    bwd: Callable[..., Any]
    static: tuple[str, ...]
    traceable: Checks

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def def_fwd(self, fwd: Callable[..., Any]) -> Callable[..., Any]: ...

    def def_bwd(self, bwd: Callable[..., Any]) -> Callable[..., Any]: ...


class Call(NamedTuple):
    """What a backward rule knows of the call of its forward rule."""

    precision: Any  # jax_default_matmul_precision
    primals: tuple[Placement | None, ...]


class Residuals(tuple):
    """The residuals of a rule, a tuple of arrays, and the `Call` that they are of."""

    call: Call


def _with_call(residuals: Any, call: Call) -> Residuals:
    result = Residuals(residuals)
    result.call = call
    return result


jax.tree_util.register_pytree_node(Residuals, lambda r: (tuple(r), r.call), lambda call, r: _with_call(r, call))


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Known:
    """Stands for a residual that is an argument or y itself: a compiled forward rule would return a copy."""

    index: int  # among the leaves of (arguments, y)


def rule(primal: Callable[P, R_co], *, static: tuple[str, ...] = (), traceable: Checks | None = None) -> Rule[P, R_co]:
    """Give `primal` a place for its backward rule (`def_fwd`, `def_bwd`); see the module's docstring."""
    name, checks = primal.__name__, traceable or {}
    call: Any = _joined(
        primal, static, checks, lambda options, *arguments: _primal(primal, options, *cast_to_common(arguments))
    )

    def def_fwd(fwd):
        split = splitter(name, fwd, static, checks)

        @functools.wraps(fwd)
        def run_fwd(*args, **kwargs):
            options, arguments = split(*args, **kwargs)
            asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
            this_call = Call(asked, placements(unsplit(options, arguments)[0]))
            arguments = cast_to_common(arguments)
            y, residuals = _forward(fwd, options, *arguments)
            known = jax.tree.leaves((arguments, y))
            found = [known[r.index] if isinstance(r, _Known) else r for r in residuals]
            return y, _with_call(found, this_call)

        call.fwd = run_fwd
        return run_fwd

    def def_bwd(bwd):
        split = splitter(name, bwd, tuple(inspect.signature(bwd).parameters)[2:], checks)

        @functools.wraps(bwd)
        def run_bwd(*args, **kwargs):
            options, (residuals, y_bar, *traced) = split(*args, **kwargs)
            arguments = cast_to_common((tuple(residuals), y_bar, *traced))
            if not isinstance(residuals, Residuals):  # put together by the caller
                return _backward(bwd, options, None, *arguments)
            with jax.default_matmul_precision(residuals.call.precision):
                bars = _backward(bwd, options, residuals.call.primals, *arguments)
            return like_primals(one_each(name, bars, residuals.call.primals), residuals.call.primals)

        call.define(call.fwd, run_bwd)
        return run_bwd

    call.def_fwd, call.def_bwd = def_fwd, def_bwd
    return cast("Rule[P, R_co]", call)


def with_pair(original: Rule[P, R_co], fwd: Callable[..., Any], bwd: Callable[..., Any]) -> Rule[P, R_co]:
    """The function of `original` with another pair; the pair is used unchanged."""
    call: Any = _joined(
        original, original.static, original.traceable, lambda options, *arguments: _call(original, options, *arguments)
    )
    call.define(fwd, bwd)
    call.__wrapped__, call.primal = original.__wrapped__, original.primal
    return cast("Rule[P, R_co]", call)


def trilinear(y: Callable[..., Any], x_bar: Callable[..., Any], w_bar: Callable[..., Any]) -> tuple[Any, Any]:
    """`x_bar(ȳ, w)` and `w_bar(x, ȳ)`, the cotangents of `y(x, w)`, which is linear in x and in w, as rules.

    Σ ȳ·y(x, w) is linear in x, w and ȳ, and the three are its derivatives by each. So a cotangent t of x̄ has
    ȳ̄ = y(t, w) and w̄ = w_bar(t, ȳ), and one of w̄ has x̄ = x_bar(ȳ, t) and ȳ̄ = y(x, t): second derivatives need no
    autodiff of whatever computes them.
    """
    asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]

    def described(name, function):
        """`function` under a name in profiles, at the precision of now."""

        def run(*arguments):
            with jax.named_scope(name), jax.default_matmul_precision(asked):
                return function(*arguments)

        return run

    y, x_bar, w_bar = described("y", y), described("x_bar", x_bar), described("w_bar", w_bar)
    x_rule, w_rule = jax.custom_vjp(x_bar), jax.custom_vjp(w_bar)
    x_rule.defvjp(lambda *kept: (x_bar(*kept), kept), lambda kept, t: (y(t, kept[1]), w_rule(t, kept[0])))
    w_rule.defvjp(lambda *kept: (w_bar(*kept), kept), lambda kept, t: (x_rule(kept[1], t), y(kept[0], t)))
    return x_rule, w_rule


def shape_carrier(x: Any) -> jax.Array:
    """An array of no bytes that tells a backward rule the shape (behind the batch axis) and dtype of `x`.

    Residuals are arrays; this one costs nothing and, unlike `x[:0]`, does not depend on `x` or its sharding.
    """
    return jnp.zeros((0, *x.shape[1:]), x.dtype)


def _joined(primal: Callable[..., Any], static: tuple[str, ...], traceable: Checks, run: Callable[..., Any]) -> Any:
    """`run(options, *arguments)` as a `jax.custom_vjp` with the signature of `primal`; it lacks `define(fwd, bwd)`."""
    split = splitter(primal.__name__, primal, static, traceable)
    joined = jax.custom_vjp(lambda options, axes, *arguments: run(options, *arguments), nondiff_argnums=(0, 1))

    @functools.wraps(primal)
    def call(*args, **kwargs):
        options, arguments = split(*args, **kwargs)
        with forward_mode_explained(primal.__name__):
            return joined(options, mapped_axes(dict(options)), *arguments)

    def without(*args, **kwargs):
        options, arguments = split(*args, **kwargs)
        return run(options, *arguments)

    call.primal = functools.update_wrapper(without, primal)  # type: ignore[attr-defined]
    without.__qualname__ = f"{primal.__qualname__}.primal"  # by which it pickles

    def define(fwd, bwd):
        def forward(options, axes, *arguments):
            positional, named = unsplit(options, arguments)
            y, residuals = within(axes, functools.partial(fwd, **named), *positional)
            return y, (residuals, arguments[len(positional) :], arguments_of(primal, positional))

        def backward(options, axes, kept, y_bar):
            residuals, traced, given = kept
            bars = within(axes, functools.partial(_call, bwd, options), residuals, y_bar, *traced)
            bars = one_each(primal.__name__, tuple(bars) if isinstance(bars, list) else bars, given)
            return (*bars, *[None] * len(traced))

        joined.defvjp(forward, backward)
        call.fwd, call.bwd = fwd, bwd  # type: ignore[attr-defined]

    call.define, call.static, call.traceable = define, static, traceable  # type: ignore[attr-defined]
    call.fwd = call.bwd = None  # type: ignore[attr-defined]  # until defined
    return call


# `run(function, options, …, *arguments)`, compiled once for each; inside a caller's `jit` it leaves no trace.
_compiled = functools.partial(jax.jit, static_argnums=(0, 1), inline=True)


@_compiled
def _primal(function, options, *arguments):
    with jax.named_scope(function.__name__):
        return on_any_mesh(functools.partial(_call, function, options), *arguments)


@_compiled
def _forward(function, options, *arguments):
    """y and the leaves of the residuals, with `_Known` for those that the caller has."""

    def forward(*arguments):
        y, residuals = _call(function, options, *arguments)
        known = jax.tree.leaves((arguments, y))
        return y, [next((_Known(i) for i, k in enumerate(known) if k is r), r) for r in residuals]

    with jax.named_scope(function.__name__):
        return on_any_mesh(forward, *arguments)


@functools.partial(jax.jit, static_argnums=(0, 1, 2), inline=True)
def _backward(function, options, primals, residuals, y_bar, *traced):
    with jax.named_scope(function.__name__):
        return on_any_mesh(functools.partial(_call, function, options), residuals, y_bar, *traced, primals=primals)


def _call(function, options, *arguments):
    positional, named = unsplit(options, arguments)
    return function(*positional, **named)
