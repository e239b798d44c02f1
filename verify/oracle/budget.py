"""A program whose unbounded loops end: every `while` counts its iterations and gives up at a budget.

A rule whose loop converges on the example need not do so on a generated call (a square root by Newton's iteration, of a
negative number), and nobody can stop a compiled loop from outside. So a program that holds a `while` is run from its
jaxpr, each of these loops with a counter beside its state.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from verify.oracle.primal import JVP_CALLS, TRANSPARENT, VJP_CALLS, bind, contains, is_call, kept, scan_counts

ITERATIONS = 10_000  # of each loop: more than what converges takes
LOOPS = {"while": ""}
CALLS = VJP_CALLS | JVP_CALLS


def within_budget(closed: Any) -> Callable:
    """The program as a function of flat arrays that returns (outputs, whether every loop ended by itself)."""
    return lambda *args: _evaluate(closed, args, jnp.asarray(True))


def unbounded(closed: Any) -> bool:
    """Whether the program holds a `while` at any depth."""
    return contains(closed, LOOPS)


def _evaluate(closed: Any, args: Sequence[Any], ended: Any) -> tuple[list[Any], Any]:
    env: dict[Any, Any] = dict(zip(closed.jaxpr.constvars, closed.consts, strict=True))
    env.update(zip(closed.jaxpr.invars, args, strict=True))

    def read(atom):
        return atom.val if isinstance(atom, core.Literal) else env[atom]

    for eqn in closed.jaxpr.eqns:
        values, name = [read(v) for v in eqn.invars], eqn.primitive.name
        if not contains(eqn, LOOPS):
            out = bind(eqn, values, eqn.params)
        elif name == "while":
            out, ended = _while(eqn, values, ended)
        elif name == "scan":
            out, ended = _scan(eqn, values, ended)
        elif name == "cond":
            branches = [lambda v, e, b=branch: _evaluate(b, v, e) for branch in eqn.params["branches"]]
            out, ended = jax.lax.switch(values[0], branches, values[1:], ended)
        elif is_call(eqn, CALLS):
            out, ended = _evaluate(kept(eqn, CALLS), values, ended)
        elif name in TRANSPARENT:
            inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
            inner = inner if hasattr(inner, "consts") else core.ClosedJaxpr(inner, ())
            out, ended = _evaluate(inner, values, ended)
        else:  # a mapped or foreign call: its loops are as they were
            out = bind(eqn, values, eqn.params)
        env.update(zip(eqn.outvars, out, strict=True))
    return [read(v) for v in closed.jaxpr.outvars], ended


def _while(eqn: Any, values: Sequence[Any], ended: Any) -> tuple[list[Any], Any]:
    p = eqn.params
    of_cond, of_body = p["cond_nconsts"], p["body_nconsts"]
    asked, used, start = values[:of_cond], values[of_cond : of_cond + of_body], values[of_cond + of_body :]

    def goes_on(state, ended):
        (more,), _ = _evaluate(p["cond_jaxpr"], [*asked, *state], ended)
        return jnp.any(more)

    def cond(carry):
        count, state, ended = carry
        return goes_on(state, ended) & ended & (count < ITERATIONS)

    def body(carry):
        count, state, ended = carry
        return count + 1, *_evaluate(p["body_jaxpr"], [*used, *state], ended)

    _, state, ended = jax.lax.while_loop(cond, body, (jnp.asarray(0), list(start), ended))
    return list(state), ended & ~goes_on(state, ended)


def _scan(eqn: Any, values: Sequence[Any], ended: Any) -> tuple[list[Any], Any]:
    consts, carried = scan_counts(eqn)

    def body(state, x):
        out, ended = _evaluate(eqn.params["jaxpr"], [*values[:consts], *state[0], *x], state[1])
        return (out[:carried], ended), out[carried:]

    start = (list(values[consts : consts + carried]), ended)
    p = eqn.params
    (state, ended), ys = jax.lax.scan(
        body, start, list(values[consts + carried :]), length=p["length"], reverse=p["reverse"]
    )
    return [*state, *ys], ended
