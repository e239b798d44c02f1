"""A program whose unbounded loops end: every `while` counts its iterations and gives up at a budget.

A rule whose loop converges on the example need not do so on a generated call (a square root by Newton's iteration, of a
negative number), and a compiled loop cannot be stopped from outside. So a program that holds a `while` is run from its
jaxpr, each of these loops with a counter beside its state.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from verify.oracle.primal import CALLS, TRANSPARENT, bind, contains, equations, inner, is_call, kept, scan_parts, walk

ITERATIONS = 10_000  # of each loop: more than what converges takes
LOOPS = {"while": ""}
HIDDEN = {"linear_solve"}  # Lineax's; its program appears when it is lowered


def within_budget(closed: Any) -> Callable:
    """The program as a function of flat arrays that returns (outputs, whether every loop ended by itself)."""
    return lambda *args: _evaluate(closed, args, jnp.asarray(True))


def continued(closed: Any, times: int = 1) -> Callable:
    """The same with every loop that ends by comparing floats run on for `times` as many iterations as it asks for, as
    long as its state stays finite: where it had converged, nothing but its stopping error changes."""
    return lambda *args: _evaluate(closed, args, jnp.asarray(True), further=times)


def stops_by_floats(eqn: Any) -> bool:
    """Whether a `while` ends by a comparison of floating-point numbers: in its condition, or in its body, where the
    condition reads a boolean that says whether it is done."""
    cond, body = eqn.params["cond_jaxpr"], eqn.params["body_jaxpr"]
    used = {id(v) for v in cond.jaxpr.outvars} | {id(v) for e in cond.jaxpr.eqns for v in e.invars}
    told = any(v.aval.dtype == bool and id(v) in used for v in cond.jaxpr.invars)
    programs = (cond, body) if told else (cond,)
    compared = [e for c in programs for e in equations(c) if e.primitive.name in ("lt", "le", "gt", "ge")]
    return any(jnp.issubdtype(v.aval.dtype, jnp.floating) for e in compared for v in e.invars)


def iterates(closed: Any) -> bool:
    """Whether some loop of the program ends by comparing floats."""
    for eqn in equations(closed):
        if eqn.primitive.name == "while" and stops_by_floats(eqn):
            return True
        if eqn.primitive.name in HIDDEN and iterates(opened(eqn)):
            return True
    return False


def opened(eqn: Any) -> Any:
    """The program of a primitive that hides it."""
    return jax.make_jaxpr(lambda *values: eqn.primitive.impl(*values, **eqn.params))(*[v.aval for v in eqn.invars])


def unbounded(closed: Any) -> bool:
    """Whether the program holds a `while` at any depth."""
    return contains(closed, LOOPS)


def _evaluate(closed: Any, args: Sequence[Any], ended: Any, further: int = 0) -> tuple[list[Any], Any]:
    def equation(eqn, values):
        nonlocal ended
        name = eqn.primitive.name
        if further and name in HIDDEN:
            out, ended = _evaluate(opened(eqn), values, ended, further)
        elif not contains(eqn, LOOPS):
            return bind(eqn, values, eqn.params)
        elif name == "while":
            out, ended = _while(eqn, values, ended, further)
        elif name == "scan":
            out, ended = _scan(eqn, values, ended, further)
        elif name == "cond":
            branches = [lambda v, e, b=branch: _evaluate(b, v, e, further) for branch in eqn.params["branches"]]
            out, ended = jax.lax.switch(values[0], branches, values[1:], ended)
        elif name == "custom_linear_solve":
            out, ended = _linear_solve(eqn, values, ended, further)
        elif is_call(eqn, CALLS):
            out, ended = _evaluate(kept(eqn, CALLS), values, ended, further)
        elif name in TRANSPARENT:
            out, ended = _evaluate(inner(eqn), values, ended, further)
        else:  # a mapped or foreign call: its loops are as they were
            return bind(eqn, values, eqn.params)
        return out

    return walk(closed, args, equation), ended


def _while(eqn: Any, values: Sequence[Any], ended: Any, further: int) -> tuple[list[Any], Any]:
    p = eqn.params
    of_cond, of_body = p["cond_nconsts"], p["body_nconsts"]
    asked, used, start = values[:of_cond], values[of_cond : of_cond + of_body], values[of_cond + of_body :]

    def goes_on(state, ended):
        (more,), _ = _evaluate(p["cond_jaxpr"], [*asked, *state], ended, further)
        return jnp.any(more)

    def next_of(state, ended):
        return _evaluate(p["body_jaxpr"], [*used, *state], ended, further)

    longer = further > 0 and stops_by_floats(eqn)

    def cond(carry):
        count, end, _, _, ended = carry
        return ended & (count < end)

    def body(carry):  # traced once, also where the loop is to go on: loops within loops would double at every depth
        count, end, unfinished, before, ended = carry
        state, within = next_of(before, ended)
        if longer:
            state = [jnp.where(unfinished, a, b) for a, b in zip(state, _if_finite(state, before), strict=True)]
        more, count = unfinished & goes_on(state, ended), count + 1
        end = jnp.where(unfinished & ~more, (1 + further) * count + 1 if longer else count, end)
        return count, end, more, state, jnp.where(unfinished, within, ended)

    more = goes_on(start, ended)
    end = jnp.where(more, ITERATIONS, int(longer))
    _, _, more, state, ended = jax.lax.while_loop(cond, body, (jnp.asarray(0), end, more, list(start), ended))
    return list(state), ended & ~more


def _if_finite(state: Sequence[Any], before: Sequence[Any]) -> list[Any]:
    """The next state, or the one before where that has no value: 0/0 once a residual is 0."""
    finite = [jnp.all(jnp.isfinite(s)) for s in state if jnp.issubdtype(s.dtype, jnp.inexact)]
    good = jnp.all(jnp.asarray(finite))
    return [jnp.where(good, a, b) for a, b in zip(state, before, strict=True)]


def _linear_solve(eqn: Any, values: Sequence[Any], ended: Any, further: int) -> tuple[list[Any], Any]:
    """The solver of a `custom_linear_solve`: what else it holds is for its derivatives, and these have been taken."""
    lengths, jaxprs = eqn.params["const_lengths"], eqn.params["jaxprs"]
    start = lengths.matvec + lengths.vecmat
    consts, b = values[start : start + lengths.solve], values[sum(lengths) :]
    return _evaluate(jaxprs.solve, [*consts, *b], ended, further)


def _scan(eqn: Any, values: Sequence[Any], ended: Any, further: int) -> tuple[list[Any], Any]:
    p = eqn.params
    consts, carry, xs = scan_parts(eqn, values)

    def body(state, x):
        out, ended = _evaluate(p["jaxpr"], [*consts, *state[0], *x], state[1], further)
        return (out[: len(carry)], ended), out[len(carry) :]

    (state, ended), ys = jax.lax.scan(body, (carry, ended), xs, length=p["length"], reverse=p["reverse"])
    return [*state, *ys], ended
