"""A program whose unbounded loops end: every `while` counts its iterations and gives up at a budget.

A rule whose loop converges on the example need not do so on a generated call (a square root by Newton's iteration, of a
negative number), and nobody can stop a compiled loop from outside. So a program that holds a `while` is run from its
jaxpr, each of these loops with a counter beside its state.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from verify.oracle.primal import CALLS, TRANSPARENT, bind, contains, inner, is_call, kept, scan_parts, walk

ITERATIONS = 10_000  # of each loop: more than what converges takes
LOOPS = {"while": ""}


def within_budget(closed: Any) -> Callable:
    """The program as a function of flat arrays that returns (outputs, whether every loop ended by itself)."""
    return lambda *args: _evaluate(closed, args, jnp.asarray(True))


def unbounded(closed: Any) -> bool:
    """Whether the program holds a `while` at any depth."""
    return contains(closed, LOOPS)


def _evaluate(closed: Any, args: Sequence[Any], ended: Any) -> tuple[list[Any], Any]:
    def equation(eqn, values):
        nonlocal ended
        name = eqn.primitive.name
        if not contains(eqn, LOOPS):
            return bind(eqn, values, eqn.params)
        if name == "while":
            out, ended = _while(eqn, values, ended)
        elif name == "scan":
            out, ended = _scan(eqn, values, ended)
        elif name == "cond":
            branches = [lambda v, e, b=branch: _evaluate(b, v, e) for branch in eqn.params["branches"]]
            out, ended = jax.lax.switch(values[0], branches, values[1:], ended)
        elif is_call(eqn, CALLS):
            out, ended = _evaluate(kept(eqn, CALLS), values, ended)
        elif name in TRANSPARENT:
            out, ended = _evaluate(inner(eqn), values, ended)
        else:  # a mapped or foreign call: its loops are as they were
            return bind(eqn, values, eqn.params)
        return out

    return walk(closed, args, equation), ended


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
    p = eqn.params
    consts, carry, xs = scan_parts(eqn, values)

    def body(state, x):
        out, ended = _evaluate(p["jaxpr"], [*consts, *state[0], *x], state[1])
        return (out[: len(carry)], ended), out[len(carry) :]

    (state, ended), ys = jax.lax.scan(body, (carry, ended), xs, length=p["length"], reverse=p["reverse"])
    return [*state, *ys], ended
