"""`check` and `assert_ok`: run every check on the example call, then on generated ones, and report."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from verify.call_under_test import CallUnderTest, with_cotangent
from verify.checks import adjoint, conditioning, contract, differences, finite, forward, gradient, linearity
from verify.checks.order import CHECKS, FIRST, ONLY_WHERE_WRITTEN, asked
from verify.concrete import described
from verify.function_under_test import FunctionUnderTest, first_line
from verify.generate import calls, empties, long_calls
from verify.log import Log
from verify.oracle import canary
from verify.oracle.instances import function_of, is_instance
from verify.oracle.noise import loop_noise
from verify.program import recursion
from verify.program.blame import blame, differentiated_inside
from verify.program.recording import unrecorded
from verify.report.finding import UncheckableError
from verify.report.notes import detection_limits_of, equation_of, name_of, not_varied, notes_on, oracle_name, shown
from verify.report.report import NOT_RUN, PASSED, Report
from verify.settings import undisturbed
from verify.time_limit import SPENT, Limit, SpentError, limited

FIXED = "the rule is one instance of a hijax primitive, whose shapes are fixed: only other input values were tried"
ORACLES = {"gradient", "differences", "adjoint", "exact"}


@unrecorded
@undisturbed()
def check(
    rule: Callable,
    *args: Any,
    reference: Callable | None = None,
    kwargs: Mapping[str, Any] | None = None,
    argnums: int | Sequence[int] | None = None,
    domain: Mapping[str, Any] | None = None,
    seed: int = 0,
    checks: Sequence[str] | None = None,
    cases: int = 8,
    seconds: float = 60.0,
    residual_bytes: int | None = None,
    time_ratio: float | None = None,
    name: str | None = None,
) -> Report:
    """Is the derivative of `rule` right? One example call is enough; other calls are generated from it.

    Args:
        rule: any differentiable callable; its hand-written rules (`custom_vjp`, or `custom_jvp` if there is no
            `custom_vjp`) are checked. An instance of a hijax primitive is checked at its own shapes.
        *args: one ordinary call: arrays or trees of arrays, floating arrays of any dtype. Integer arrays and random
            keys are not perturbed, and Python values are part of the function.
        reference: a plain forward function of the same arguments, which JAX differentiates in float64 for comparison;
            its convention at ties is the required one. Without it the rule's own primal is differentiated, and at ties
            any slope between the one-sided ones passes.
        kwargs: arguments of the call that are passed by name.
        argnums: which positional arguments to differentiate; by default all with floating arrays.
        domain: the domain of generated numbers for each argument's name: one of the words below or several, or a
            function from any array to an allowed one; by default what the example shows. "positive", "nonnegative",
            "negative", "(0, 1)", "(-1, 1)", "{0, 1}", "one-hot", "probabilities" and "unit rows" (along the last axis),
            "increasing" (along it), "symmetric", "antisymmetric", "positive definite", "orthogonal", "lower
            triangular", "upper triangular"; "any" for all numbers.
        seed: the seed of all random numbers.
        checks: names of the checks to run; by default all (`verify.CHECK_NAMES`).
        seconds: once the example has been compared, no program starts that would end later if it took as long as
            those before it; the report lists what was left out.
        cases: how many calls of other shapes or options to generate, besides one of every option; 0 checks only the
            example.
        residual_bytes: a limit on the bytes of residuals; by default they are only reported.
        time_ratio: a limit on the time of forward and backward, relative to autodiff's; by default not measured.
        name: the rule's name in the report; by default its own name.

    Returns:
        A `Report`. A rule that is wrong or cannot be checked raises nothing; the report says so.
    """
    start = time.perf_counter()
    call = ", ".join([*(shown(a) for a in args), *(f"{n}={shown(a)}" for n, a in (kwargs or {}).items())])
    log, because, tested, example = Log(), "", None, None
    detection_limits: tuple[tuple[str, float], ...] = ()
    chosen = [c for c in CHECKS if checks is None or c.NAME in checks]
    try:
        sick = canary.symptoms()
        if sick:
            raise UncheckableError(f"this backend computes wrong numbers: {sick}")
        limits = {"residual_bytes": residual_bytes, "time_ratio": time_ratio}
        own = function_of(rule) if is_instance(rule) else rule
        tested, held = described(own, args, kwargs, reference=reference, argnums=argnums, limits=limits, domain=domain)
        chosen = [c for c in chosen if c not in ONLY_WHERE_WRITTEN or c.applies(tested)]
        given = _example(tested, call, seed)
        example = calls.affordable(given)
        # Saturated inputs overflow on purpose; what comes of it is judged by the checks, not by NumPy's warnings.
        with np.errstate(all="ignore"), limited() as limit, contextlib.suppress(SpentError):
            if example is given or _once(log, given, example, chosen):
                because = _run(log, example, chosen, cases, limit, start + seconds)
            log.notes += held
            # An instance stands for the rules inside it.
            log.notes += [FIXED] if is_instance(rule) else blame(example, log.findings, args, kwargs or {}, check)
            log.notes += [*notes_on(example, chosen), *differentiated_inside(example)]
            log.notes += not_varied(example, None if log.findings else log.varied) if cases > 0 else []
            detection_limits = detection_limits_of(example)
    except Exception as error:  # whatever a rule does, the report says so
        because = log.end(chosen, call, error)
    log.tell("")
    return Report(
        name or name_of(rule),
        call,
        oracle_name(tested, example),
        tuple(log.findings),
        tuple(log.outcomes),
        tuple(log.notes),
        detection_limits=detection_limits,
        because=because,
        equation=equation_of(rule),
        seconds=time.perf_counter() - start,
    )


def assert_ok(rule: Callable, *args: Any, **options: Any) -> Report:
    """`check`, raising AssertionError with the report unless the rule is right. For pytest."""
    report = check(rule, *args, **options)
    if not report.ok:
        raise AssertionError(str(report))
    return report


def _example(tested: FunctionUnderTest, label: str, seed: int) -> CallUnderTest:
    case = CallUnderTest(tested, label, tested.example, {}, seed, example=True)
    try:
        case = with_cotangent(case, np.random.default_rng((seed, 14)))
    except Exception as error:
        raise UncheckableError(f"the call itself fails: {first_line(error)}") from error
    recursion.look(case)
    return case


def _run(log: Log, example: CallUnderTest, chosen: list[ModuleType], cases: int, limit: Limit, end: float) -> str:
    """Run the checks, the rest of them until the clock says `end` once the example has been compared; the reason why
    the gradient could not be judged, if it could not."""
    first = [c for c in chosen if c in FIRST]
    later = [c for c in chosen if c not in FIRST]
    alone = not (example.tested.reference or example.tested.calls)  # `gradient` compares it with itself
    for n, one in enumerate(first):  # conditioning is asked of saturated inputs only
        if one is not conditioning and not log.run(one, example) and one in (contract, gradient, finite):
            rest = [*first[n + 1 :], *later]
            if one is gradient and linearity in rest:  # what clips or squares the cotangent is better named by this
                log.run(linearity, example)
                rest.remove(linearity)
            log.skip(rest, example.label, f"{one.NAME} failed already")
            return ""
        if one is gradient and not alone and log.outcomes[-1].status == PASSED:
            limit.end = end  # there is an answer now
    if log.findings:
        log.skip(later, example.label, "the rule is wrong already")
        return ""
    unjudged = any(o.check == gradient.NAME and o.status == NOT_RUN for o in log.outcomes)
    for one in [c for c in later if (alone or unjudged) and c in (adjoint, differences)]:  # the oracles that are left
        log.run(one, example)
        later.remove(one)
    limit.end = end
    for one in [c for c in later if c in ONLY_WHERE_WRITTEN]:  # other calls may take all the time
        log.run_before(end, one, example)
        later.remove(one)
    if log.findings:
        log.skip(later, example.label, "the rule is wrong already")
        return ""
    searches = unjudged and loop_noise(example) > 0
    try:
        for case in _generated(example, cases):
            if log.late(end):
                raise SpentError
            # Loops that search end elsewhere at other sizes: there a difference says less.
            unfit = not unjudged or case.long or case.stress or (case.reshaped and searches)
            if not log.run_all([c for c in chosen if asked(c, case) or (c is differences and not unfit)], case):
                break  # others would repeat what is known
    except SpentError:
        log.skip(first, "further generated calls", SPENT)
    if log.findings:
        log.skip(later, example.label, "the rule is wrong already")
        return ""
    for one in later:
        log.run_before(end, one, example)
    judged = {o.check for o in log.outcomes if o.status == PASSED} & ORACLES
    reasons = [o.reason for o in log.outcomes if o.check in ORACLES and o.status == NOT_RUN]
    return "" if judged or log.findings else (reasons[0] if reasons else "no check with an oracle was asked for")


def _once(log: Log, given: CallUnderTest, example: CallUnderTest, chosen: list[ModuleType]) -> bool:
    """Compare a call that is too large to be run often once, in float64, or not at all; True if nothing is wrong."""
    log.notes.append(calls.why_smaller(given, example))
    if calls.affordable_once(given):
        full = replace(given, reshaped=True)
        for n, one in enumerate(chosen):
            if one in (contract, gradient, forward) and not log.run(one, full):
                log.skip(chosen[n + 1 :], given.label, "the rule is wrong already")
                return False
    return True


def _generated(example: CallUnderTest, cases: int) -> Iterator[CallUnderTest]:
    if cases > 0:
        yield from calls.content_cases(example)
        yield from calls.geometry_cases(example, cases)
        yield from empties.without_indices(example)
        yield from long_calls.long_cases(example)
