"""The checks, the order in which they run, and which of them are asked of a generated call."""

from types import ModuleType

from verify.call_under_test import CallUnderTest
from verify.checks import (
    adjoint,
    conditioning,
    contract,
    cost,
    devices,
    differences,
    exact,
    finite,
    forward,
    gradient,
    linearity,
    low_precision,
    lowered,
    methods,
    primitive,
    pushforward,
    reached,
    repeatable,
    second_order,
    transforms,
)
from verify.generate import repeated
from verify.oracle.instances import INSTANCE

# The order matters twice: a rule that does not run is not asked for its values, and the cheap come first.
FIRST = (contract, gradient, finite, forward, conditioning, linearity, repeatable)
PROGRAM = (reached, lowered, cost)
LATER = (
    *(exact, adjoint, pushforward, methods, primitive, differences, low_precision, transforms, second_order),
    *(devices, *PROGRAM),
)
CHECKS = (*FIRST, *LATER)
CHECK_NAMES = tuple(c.NAME for c in CHECKS)
ONLY_WHERE_WRITTEN = (pushforward, methods, primitive)  # asked of the rules that have such methods


def asked(check: ModuleType, case: CallUnderTest) -> bool:
    """Whether a generated case is this check's business: form changes with the shape, each method of a hijax primitive
    has the options, `jvp` and `linearized` formulas of their own for all numbers, and saturated inputs are judged by
    how stable a rule is, not by its last digits."""
    if check is contract:
        return case.reshaped
    if check is second_order:  # a backward rule made of rules may lose a word, a flag or a stride at the second step
        return any(isinstance(v, str | int) for v in case.options.values()) and second_order.of_rules(case)
    beyond = case.long or repeated.beyond_the_example(case)
    if check not in FIRST:
        own = check is pushforward and not (beyond or case.stress)
        return INSTANCE in case.tested.primitives and (own or (check in (pushforward, methods) and bool(case.options)))
    if beyond:
        return check is gradient
    if check in (conditioning, gradient, forward):
        return case.stress == (check is conditioning)
    return check.EVERY_CASE and not case.reshaped
