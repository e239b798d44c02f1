"""Functions that draw random numbers until one is accepted.

Which proposal is accepted jumps as the parameters move, so that the derivative of a draw with everything else held
fixed is not what such a sampler declares: it is that of the distribution (implicit reparameterisation), which no
difference and no forward mode through the loop follows. And one rounding accepts another proposal. So it is where one
of two draws is taken, by a probability that the parameters decide.
"""

import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax

from verify.call_under_test import CallUnderTest
from verify.oracle import kinks
from verify.oracle.primal import CALLS, TRANSPARENT, equations, inner, is_call, kept, scan_parts, walk
from verify.report.finding import NotRunError

OWN_DERIVATIVE = "random_gamma"  # JAX's sampler, whose derivative is the implicit one
DRAWN = {"random_bits", "threefry2x32", "rng_bit_generator"}
LOOPS = {"while", "scan"}
RANDOM, DECIDED = 1, 2  # bits: a value depends on what is drawn, on an argument that is differentiated
WHY = "the function draws until it accepts: its derivative is that of the distribution, not of one draw"
CHOOSES = "the function takes one of two draws: its derivative is that of the distribution, not of one draw"


def refuse(case: CallUnderTest) -> None:
    """Raise NotRunError where nothing but a reference knows the derivative of a draw."""
    if case.tested.reference is None and rejects(case):
        raise NotRunError(WHY)
    _refuse_a_choice(case)


def rejects(case: CallUnderTest) -> bool:
    """Whether the function draws until it accepts."""
    key = ("draws until it accepts", repr(sorted(case.options.items())))
    if key not in case.tested.compiled:
        case.tested.compiled[key] = _rejects(case)
    return case.tested.compiled[key]


def refuse_held(case: CallUnderTest) -> None:
    """Raises NotRunError where autodiff is no oracle of such a draw either, though it reaches through the loop: that is
    held by a stop_gradient, or is a `scan` of so many tries. Nor is it of a rule for a draw out of two."""
    _refuse_a_choice(case)
    if case.tested.reference is not None or not case.tested.primitives & LOOPS:
        return
    try:
        loops = [e for e in equations(case.trace[0]) if e.primitive.name in LOOPS and _until_accepted(e)]
    except Exception:
        return
    if loops and (any(e.primitive.name == "scan" for e in loops) or kinks.stops_gradients(case)):
        raise NotRunError(WHY)


def _rejects(case: CallUnderTest) -> bool:
    try:
        found = list(equations(case.trace[0]))
    except Exception:
        return False
    loops = [e for e in found if e.primitive.name in LOOPS]
    return any(e.primitive.name == OWN_DERIVATIVE for e in found) or any(map(_until_accepted, loops))


def _until_accepted(eqn) -> bool:
    """A loop that draws, and ends by more than a count: what is carried as accepted, or a comparison of floats. Of a
    fixed number of tries it carries which are accepted."""
    if eqn.primitive.name == "scan":
        carried = scan_parts(eqn, eqn.invars)[1]
        draws = any(e.primitive.name in DRAWN for e in equations(eqn.params["jaxpr"]))
        return draws and any(v.aval.dtype == bool for v in carried)
    if not any(e.primitive.name in DRAWN for e in equations(eqn.params["body_jaxpr"])):
        return False
    counts = [e.primitive.name in ("lt", "le", "gt", "ge") for e in equations(eqn.params["cond_jaxpr"])]
    return (len(counts) != 1 or not counts[0]) and _ends_by_chance(eqn)


def _ends_by_chance(eqn: Any) -> bool:
    """Whether the end of a `while` loop depends on what is drawn in it, as that of a bisection of a Brownian path does
    not, which draws at each step."""
    body, condition = eqn.params["body_jaxpr"], eqn.params["cond_jaxpr"]
    count = len(body.out_avals)
    carry = _settled(body, [0] * (len(body.in_avals) - count), [0] * count, [])
    return bool(_marked(condition, [0] * (len(condition.in_avals) - count) + carry, [])[0] & RANDOM)


def _settled(body: Any, constants: list[int], carry: list[int], moving: list[int]) -> list[int]:
    """The marks of a loop's results: those of its carry, once they grow no more, and of what it stacks."""
    while True:
        after = _marked(body, [*constants, *carry, *moving], [])
        joined = [a | b for a, b in zip(carry, after, strict=False)]
        if joined == carry:
            return [*carry, *after[len(carry) :]]
        carry = joined


def _marked(closed: Any, marks: Sequence[int], chosen: list[Any]) -> list[int]:
    """On what the results of a program depend, from the same of its arguments; `chosen` takes the selections by what is
    drawn and an argument between values of arguments, outside of loops."""

    def equation(eqn, marks):
        name = eqn.primitive.name
        if name in TRANSPARENT or is_call(eqn, CALLS):
            return _marked(kept(eqn, CALLS) if is_call(eqn, CALLS) else inner(eqn), marks, chosen)
        if name == "while":
            body = eqn.params["body_jaxpr"]
            start, end = len(marks) - len(body.in_avals), len(marks) - len(body.out_avals)
            return _settled(body, marks[start:end], marks[end:], [])
        if name == "scan":
            return _settled(eqn.params["jaxpr"], *scan_parts(eqn, marks))
        if name == "cond":
            branches = [_marked(branch, marks[1:], chosen) for branch in eqn.params["branches"]]
            return [functools.reduce(operator.or_, found, marks[0]) for found in zip(*branches, strict=True)]
        if name == "select_n" and marks[0] == RANDOM | DECIDED and all(m & DECIDED for m in marks[1:]):
            chosen.append(eqn)
        joined = functools.reduce(operator.or_, marks, RANDOM if name in DRAWN else 0)
        return [joined] * len(eqn.outvars)

    return walk(closed, marks, equation, lambda _: 0)


def _refuse_a_choice(case: CallUnderTest) -> None:
    unknown = case.tested.reference is None and bool(case.tested.calls)
    if unknown and case.tested.primitives & DRAWN and _chooses(case):
        raise NotRunError(CHOOSES)


def _chooses(case: CallUnderTest) -> bool:
    """Whether what is drawn and an argument together select one of two values that depend on arguments. A mask of
    dropout selects a value or 0."""
    key = ("chooses what it draws", repr(sorted(case.options.items())))
    if key not in case.tested.compiled:
        chosen: list[Any] = []
        try:
            primal = jax.make_jaxpr(case.tested.flat(case.tested.rule, case.options))(*case.arrays)
            _marked(primal, [DECIDED * (n in case.perturbed) for n in range(len(case.arrays))], chosen)
        except Exception:  # it cannot be traced, which `contract` says
            chosen = []
        case.tested.compiled[key] = bool(chosen)
    return case.tested.compiled[key]
