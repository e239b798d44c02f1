"""Is the user's rule the one that runs? As notes.

A rule behind a `stop_gradient` is never asked for its cotangents, and one inside of another rule only if that one asks:
the numbers that the other checks compare are then not its own. Every rule in the function is replaced by one that notes
that its backward half is traced; where `stop_gradient` hides one that would be reached without, that is said. A rule of
arguments that are not differentiated, or whose result is not used, is no such case.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from verify.call_under_test import CallUnderTest
from verify.oracle import primal
from verify.report.finding import Finding
from verify.running import pullback

NAME = "reached"
EVERY_CASE = False
STOP = "stop_gradient"


def findings(case: CallUnderTest) -> list[Finding]:
    if case.tested.calls is not primal.VJP_CALLS:
        return []
    closed = jax.make_jaxpr(case.tested.flat(case.tested.rule, case.options))(*case.arrays)
    said = [f"the rule {n} is called inside of {o}, whose own rule is the one that runs" for n, o in _nested(closed)]
    if STOP in case.tested.primitives:
        hidden = dict.fromkeys(_reached(case, closed, stopped=False))
        for name in _reached(case, closed, stopped=True):
            hidden.pop(name, None)
        said = [f"the rule {n} is behind a stop_gradient: differentiation does not reach it" for _, n in hidden] + said
    text = "; ".join(dict.fromkeys(said))
    return [Finding(NAME, "the rule", None, None, None, "", text, case.label, note=True)] if said else []


def _nested(closed: Any) -> list[tuple[str, str]]:
    """(rule, the rule around it) for each `custom_vjp` inside of another rule."""
    found = []
    for eqn in primal.equations(closed):
        if primal.is_call(eqn, primal.CALLS) and eqn.primitive.name != primal.HIJAX:
            calls = primal.VJP_CALLS if primal.is_call(eqn, primal.VJP_CALLS) else primal.JVP_CALLS
            inside = [e for e in primal.equations(primal.kept(eqn, calls)) if primal.is_call(e, primal.VJP_CALLS)]
            found += [(_name(e), _name(eqn)) for e in inside]
    return found


def _reached(case: CallUnderTest, closed: Any, *, stopped: bool) -> list[tuple[int, str]]:
    """(number, name) of the rules whose backward half is traced, with `stop_gradient` in force or not."""
    numbers: dict[int, int] = {}
    found: list[tuple[int, str]] = []

    def evaluate(closed, args):
        def equation(eqn, values):
            name = eqn.primitive.name
            if primal.is_call(eqn, primal.VJP_CALLS):
                mark = (numbers.setdefault(id(eqn), len(numbers)), _name(eqn))
                return _marking(core.jaxpr_as_fun(primal.kept(eqn, primal.VJP_CALLS)), found, mark)(*values)
            if name == STOP and not stopped:
                return values
            if name in primal.TRANSPARENT and primal.contains(eqn, {**primal.VJP_CALLS, STOP: ""}):
                return evaluate(primal.inner(eqn), values)
            return primal.bind(eqn, values, eqn.params)

        return primal.walk(closed, args, equation)

    run = pullback(lambda *arrays: evaluate(closed, arrays), case.perturbed)
    jax.make_jaxpr(run)(list(case.arrays), list(case.y_bar))
    return list(dict.fromkeys(found))


def _marking(fun: Any, found: list, mark: tuple[int, str]) -> Any:
    @jax.custom_vjp
    def marking(*values):
        return fun(*values)

    def forward(*values):
        return fun(*values), values

    def backward(values, _):
        found.append(mark)
        return tuple(jnp.zeros(v.shape, v.dtype) if jnp.issubdtype(v.dtype, jnp.floating) else None for v in values)

    marking.defvjp(forward, backward)
    return marking


def _name(eqn: Any) -> str:
    """What a rule is called in its jaxpr."""
    inside = eqn.params.get("call_jaxpr")
    info = getattr(getattr(inside, "jaxpr", inside), "debug_info", None)
    return eqn.params.get("name") or getattr(info, "func_name", None) or eqn.primitive.name
