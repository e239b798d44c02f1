"""The function without its hand-written rule.

A `jax.custom_vjp` call keeps, in the jaxpr, the primal it stands for (`call_jaxpr`). Evaluating the jaxpr with every
such call replaced by its primal gives the same function with no rule left in it: JAX differentiates *that* by itself,
which is the oracle when no reference is given.
"""

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

# The names these primitives have had over the JAX versions we support, and the parameter that keeps the primal.
# A hijax primitive keeps itself, and its `expand` is the primal; with JAX's flags `jax_custom_vjp3` and
# `jax_custom_jvp3` every custom_vjp and custom_jvp is one.
HIJAX = "call_hi_primitive"
VJP_CALLS = {"custom_vjp_call": "call_jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr", HIJAX: "_prim"}
JVP_CALLS = {"custom_jvp_call": "call_jaxpr", HIJAX: "_prim"}
CALLS = VJP_CALLS | JVP_CALLS
BATCHED = {"custom_vmap_call": "call"}  # has a batching rule of its own; reverse mode does not reach through it
STOPS = {"stop_gradient": ""}  # keeps nothing: it is the identity
# Calls that only group equations: evaluating the inside in place changes nothing but speed.
TRANSPARENT = {"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint", "custom_lin", "eval_jaxpr"}

LEAVES = (int, str, type(None))  # parameters that hold no jaxpr, and are most
_EQUATIONS: Any = weakref.WeakKeyDictionary()  # of each jaxpr that was asked for: every program is, at every run


class AnnouncedError(ValueError):
    """What a hijax primitive's `expand` returns is not what its `out_aval` announces."""


def inlined(fun: Callable, calls: dict[str, str]) -> Callable:
    """`fun` (flat arrays to a flat list of arrays) with every call named in `calls` replaced by its primal."""

    def without_rules(*args):
        closed = jax.make_jaxpr(fun)(*args)
        outs = evaluate(closed, args, calls | BATCHED)
        # A constant among the outputs, such as the flag beside a factorisation, is a Python number in a jaxpr.
        return [
            o if hasattr(o, "dtype") else np.asarray(o, a.dtype) for o, a in zip(outs, closed.out_avals, strict=True)
        ]

    return without_rules


def evaluate(closed: Any, args: Sequence[Any], calls: dict[str, str]) -> list[Any]:
    """Evaluate a closed jaxpr, replacing `calls` by the jaxpr they keep, at any depth."""

    def equation(eqn, values):
        name, params = eqn.primitive.name, eqn.params
        if is_call(eqn, calls):
            return evaluate(kept(eqn, calls), values, calls)
        if name in TRANSPARENT and contains(eqn, calls):
            return evaluate(inner(eqn), values, calls)
        if name == "shard_map" and "in_specs" in params and contains(eqn, calls):
            return _mapped(eqn, values, calls)
        return bind(eqn, values, {key: _rewritten(value, calls) for key, value in params.items()})

    return walk(closed, args, equation)


def _mapped(eqn: Any, values: Sequence[Any], calls: dict[str, str]) -> list[Any]:
    """A `shard_map` with the rules inside it inlined: traced anew, because its axes are bound only there."""
    keys = ("mesh", "in_specs", "out_specs", "check_vma")
    body = core.ClosedJaxpr(eqn.params["jaxpr"], ())
    options = {key: eqn.params[key] for key in keys if key in eqn.params}
    return list(jax.shard_map(lambda *args: tuple(evaluate(body, args, calls)), **options)(*values))


def walk(
    closed: Any,
    args: Iterable[Any],
    equation: Callable[[Any, list[Any]], Iterable[Any]],
    constant: Callable[[Any], Any] = lambda value: value,
) -> list[Any]:
    """Interpret a jaxpr: `equation` maps an equation and the values of its operands to the values of its results,
    one equation after the other; `constant` gives the value of a constant."""
    env: dict[Any, Any] = dict(zip(closed.jaxpr.constvars, map(constant, closed.consts), strict=True))
    env.update(zip(closed.jaxpr.invars, args, strict=True))

    def read(atom):
        return constant(atom.val) if isinstance(atom, core.Literal) else env[atom]

    for eqn in closed.jaxpr.eqns:
        env.update(zip(eqn.outvars, equation(eqn, [read(v) for v in eqn.invars]), strict=True))
    return [read(v) for v in closed.jaxpr.outvars]


def is_call(eqn: Any, calls: dict[str, str]) -> bool:
    """Whether an equation is one of `calls`. Of the hijax primitives a custom_jvp is one of JVP_CALLS, every other one
    of VJP_CALLS, but for JAX's own, such as einsum."""
    name = eqn.primitive.name
    if name not in calls or name != HIJAX:
        return name in calls
    kind = type(eqn.params["_prim"])
    if kind.__name__ == "CustomJVPTraced":
        return "custom_jvp_call" in calls
    return "custom_vjp_call" in calls and not kind.__module__.startswith(("jax._src.numpy", "jax._src.pallas"))


def kept(eqn: Any, calls: dict[str, str]) -> Any:
    """The closed jaxpr of the primal that a call stands for. Raises AnnouncedError where a hijax primitive's `expand`
    does not return what it announces, ValueError where it is called at shapes that it was not made for."""
    if eqn.primitive.name in STOPS:
        return jax.make_jaxpr(lambda x: x)(eqn.invars[0].aval)
    inside = eqn.params[calls[eqn.primitive.name]]
    if eqn.primitive.name != HIJAX:
        return inside

    given, taken = ([tuple(a.shape) for a in avals] for avals in ([v.aval for v in eqn.invars], inside.in_avals_flat))
    if given != taken:
        raise ValueError(f"{type(inside).__name__} is made for {taken}, not for {given}")

    def expanded(*args):
        return jax.tree_util.tree_leaves(inside.expand(*inside.in_tree.unflatten(args)))

    closed = jax.make_jaxpr(expanded)(*[v.aval for v in eqn.invars])
    got, announced = ([(a.shape, a.dtype) for a in avals] for avals in (closed.out_avals, inside.out_avals_flat))
    if got != announced:
        raise AnnouncedError(f"{type(inside).__name__}: expand returns {got}, out_aval announces {announced}")
    return closed


def inner(eqn: Any) -> Any:
    """The closed jaxpr of a call that only groups equations."""
    jaxpr = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    return jaxpr if hasattr(jaxpr, "consts") else core.ClosedJaxpr(jaxpr, ())


def bind(eqn: Any, values: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    """Apply one equation's primitive to `values`; always a list."""
    prepared = eqn.primitive.get_bind_params(params)
    subfuns, params = prepared if isinstance(prepared, tuple) else ((), prepared)  # a pair before JAX 0.10
    out = eqn.primitive.bind(*subfuns, *values, **params)
    return list(out) if eqn.primitive.multiple_results else [out]


def contains(thing: Any, calls: dict[str, str]) -> bool:
    """Whether an equation, a jaxpr or a parameter holds one of `calls` at any depth."""
    if hasattr(thing, "primitive"):
        return is_call(thing, calls) or contains(_insides(thing), calls)
    return any(is_call(eqn, calls) for eqn in equations(thing))


def equations(thing: Any) -> Sequence[Any]:
    """Every equation of a jaxpr, those of nested jaxprs and hijax primitives included, calls before their insides."""
    if isinstance(thing, tuple | list):
        return [eqn for t in thing if not isinstance(t, LEAVES) for eqn in equations(t)]
    jaxpr = getattr(thing, "jaxpr", thing)
    if not hasattr(jaxpr, "eqns"):
        return ()
    if jaxpr not in _EQUATIONS:
        nested = ([eqn, *equations(_insides(eqn))] for eqn in jaxpr.eqns)
        _EQUATIONS[jaxpr] = [eqn for several in nested for eqn in several]
    return _EQUATIONS[jaxpr]


def _insides(eqn: Any) -> list[Any]:
    """An equation's parameters, any jaxprs among them; of a hijax primitive, which holds none, what it expands to."""
    if eqn.primitive.name != HIJAX:
        return list(eqn.params.values())
    try:
        return [kept(eqn, CALLS)]
    except Exception:  # at other shapes, or not as announced: the checks say so
        return []


def scan_parts(eqn: Any, values: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """The operands of a `scan` as constants, carry and what it runs over, told by their ranks: the parameters that say
    so have had several names."""
    body = getattr(eqn.params["jaxpr"], "jaxpr", eqn.params["jaxpr"])
    carry = sum(a.aval.ndim == b.aval.ndim for a, b in zip(eqn.outvars, body.outvars, strict=True))
    moving = sum(a.aval.ndim != b.aval.ndim for a, b in zip(eqn.invars, body.invars, strict=True))
    end = len(eqn.invars) - moving
    return list(values[: end - carry]), list(values[end - carry : end]), list(values[end:])


def _rewritten(value: Any, calls: dict[str, str]) -> Any:
    """A parameter with the rules inlined in whatever jaxprs it holds (loop bodies, branches)."""
    if isinstance(value, tuple | list) and contains(value, calls):
        return type(value)(_rewritten(v, calls) for v in value)
    if isinstance(value, core.ClosedJaxpr) and contains(value, calls):
        return jax.make_jaxpr(lambda *args: evaluate(value, args, calls))(*value.in_avals)
    return value
