"""`check_all`: every hand-written rule that runs in a program, each checked on the values that reach it."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from verify.checking import check
from verify.checks.order import CHECK_NAMES
from verify.checks.primitive import NAME as PRIMITIVE
from verify.oracle.instances import is_instance
from verify.program.equality import unequal
from verify.program.recording import Record
from verify.program.records import recorded
from verify.report.notes import shown
from verify.report.report import NOT_RUN, Outcome, Report
from verify.settings import undisturbed

CASES = 3  # generated calls of a rule's first shape: a program holds many rules, and a fault of geometry shows early


def check_all(
    function: Callable,
    *args: Any,
    seed: int = 0,
    cases: int = CASES,
    checks: Sequence[str] | None = None,
    seconds: float = 60.0,
) -> list[Report]:
    """Run `function(*args)`, a whole training step for instance, and check every `custom_vjp`, `custom_jvp`
    and hijax primitive that runs in it, under `jit`, `grad`, `vmap`, `scan`, `cond` and `remat` alike.

    Each rule is checked once for each set of shapes, dtypes and static values, on the first values that reach it: the
    first iteration of a loop, the first row of a `vmap`, the branch of a `cond` that is taken. Other shapes and values
    are generated for the first shape of each rule; further shapes are checked only on the recorded values.

    Args:
        function: any callable. It is run once on copies of the arguments, so donated buffers stay usable.
        *args: its arguments, any trees.
        seed: the seed of all random numbers.
        cases: how many calls of other shapes to generate for a rule's first shape; 0 checks only the recorded values.
        checks: names of the checks to run; by default all (`verify.CHECK_NAMES`).
        seconds: after this time no further rule is started; each rule left out has a report that says so.

    Returns:
        A list of `Report`s, each with the rule's module and name, in the order in which they were called; empty if no
        hand-written rule runs.

    Raises:
        UncheckableError: the function itself fails on these arguments.
    """
    return checked(recorded(function, *args), seed=seed, cases=cases, checks=checks, seconds=seconds)


@undisturbed()
def checked(
    records: Iterable[Record], *, seed: int, cases: int, checks: Sequence[str] | None, seconds: float
) -> list[Report]:
    """The records' reports. The first shape of every rule comes before the second of any."""
    start, reports, order = time.perf_counter(), {}, []
    seen: set[str] = set()
    records = list(records)
    for n, record in enumerate(records):
        order.append((record.name in seen, n))
        seen.add(record.name)
    for again, n in sorted(order):
        record = records[n]
        if time.perf_counter() - start > seconds:
            reports[n] = _left_out(record, checks, f"the {seconds:g} s for all rules were spent")
            continue
        # A rule that closes over arrays of the program has their dtype, and is made anew for another.
        own = [c for c in checks or CHECK_NAMES if c != "low precision"] if record.closed else checks
        reports[n] = check(
            record.concrete,
            *record.args,
            argnums=record.argnums,
            seed=seed,
            cases=0 if again else cases,
            checks=own,
            name=record.name,
        )
        reports[n] = _with_equals(reports[n], record, records[:n])
    return [reports[n] for n in range(len(records))]


def _with_equals(report: Report, record: Record, before: Iterable[Record]) -> Report:
    """The report of a hijax primitive, with a finding where JAX reuses the program of one that ran before."""
    if not is_instance(record.rule):
        return report
    others = [r.rule for r in before if type(r.rule) is type(record.rule)]
    found = [f for other in others for f in unequal(PRIMITIVE, report.call, [other, record.rule])]
    return replace(report, failures=(*report.failures, *found[:1]))


def _left_out(record: Record, checks: Sequence[str] | None, reason: str) -> Report:
    call = ", ".join(shown(a) for a in record.args)
    outcomes = tuple(Outcome(c, call, NOT_RUN, reason) for c in checks or CHECK_NAMES)
    return Report(record.name, call, "none", (), outcomes, because=reason)
