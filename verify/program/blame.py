"""Which of the rules inside a function is wrong, once the function is, and which rules it differentiates itself."""

import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from verify.call_under_test import CallUnderTest
from verify.function_under_test import first_line
from verify.program.identity import name_of
from verify.program.recording import Record, recording
from verify.program.records import recorded
from verify.report.finding import Finding
from verify.report.report import UNCHECKED, Report

CHECKS = ("contract", "gradient", "forward")
MOST, SECONDS = 12, 5.0  # rules looked at one by one, and for how long each
TOGETHER = 15.0  # seconds after which no further one is looked at: the answer is known already
OTHERS = 4  # calls of other shapes that each gets, where the example showed nothing


def blame(
    example: CallUnderTest,
    findings: Sequence[Finding],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    check: Callable[..., Report],
) -> list[str]:
    """A note about each hand-written rule that runs in the function of a wrong example, called with `args` and
    `kwargs`, and is wrong by itself on the values that reach it; if all are right, one note that says so. Nothing where
    there are no findings or fewer than two rules, or where the function is a rule itself, which stands for those
    inside. `check` is `verify.check`."""
    function = example.tested.rule
    if not findings or example.tested.rules < 2 or isinstance(function, jax.custom_vjp | jax.custom_jvp):
        return []
    at_once = any(f.case == example.label for f in findings)
    try:
        return _notes(functools.partial(function, **kwargs), args, check, 0 if at_once else OTHERS)
    except Exception as error:  # a program may not run a second time
        return [f"the rules inside could not be looked at one by one: {first_line(error)}"]


def differentiated_inside(example: CallUnderTest) -> list[str]:
    """A note that names the rules of which the function takes the derivative itself, as `jax.grad(f)` does: they leave
    no call in its program, so that what they answer is the function, and nothing says whether it is right."""
    tested = example.tested
    if tested.calls:
        return []
    with recording(callbacks=False) as heard, contextlib.suppress(Exception):  # may not be traced a second time
        jax.eval_shape(tested.flat(tested.rule, example.options), *example.arrays)
    names = dict.fromkeys(r.name for r in heard.records.values() if not r.name.startswith("jax."))
    text = "the function itself takes the derivative of {}: not checked here; verify.check_all checks them"
    return [text.format(", ".join(names))] if names else []


def _notes(function: Callable, args: Sequence[Any], check: Callable[..., Report], cases: int) -> list[str]:
    records = [r for r in recorded(function, *args) if not name_of(r.rule).startswith("jax.")]
    if len({r.name for r in records}) < 2:
        return []
    reports, end = [_checked(records[0], check, cases)], time.perf_counter() + TOGETHER
    reports += [_checked(r, check, cases) for r in records[1:MOST] if time.perf_counter() < end]
    wrong = {r.rule: r for r in reversed(reports) if r.failures}
    unknown = [r.rule for r in reports if r.verdict == UNCHECKED]
    right = ", ".join(dict.fromkeys(r.rule for r in reports if r.rule not in {*wrong, *unknown}))
    late = len(records[:MOST]) - len(reports)
    if not wrong:
        left = f"; {', '.join(unknown)} could not be checked" if unknown else ""
        left += f"; for {late} more there was no time" if late else ""
        return [f"of the rules inside, each is right by itself on this call: {right}{left}"] if right else []
    notes = [f"of the rules inside, {name} is wrong: {_said(r)}" for name, r in reversed(wrong.items())]
    return [*notes[:-1], notes[-1] + (f"; right: {right}" if right else "")]


def _checked(record: Record, check: Callable[..., Report], cases: int) -> Report:
    options = {"argnums": record.argnums, "checks": CHECKS, "cases": cases, "seconds": SECONDS, "name": record.name}
    return check(record.concrete, *record.args, **options)


def _said(report: Report) -> str:
    first = report.failures[0]
    return f"{first.check}: {first.argument}: {first.cause or first.message}"
