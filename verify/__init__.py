"""Is a hand-written derivative right? For any `jax.custom_vjp`, from one example call.

report = verify.check(rule, x, w, reference=plain)     # or without a reference
verify.assert_ok(rule, x, w)                           # for pytest
@verify.parametrize(name=(rule, reference, "f32[2,8]"))  # the same for a list of rules
reports = verify.check_all(step, *args)                # every rule that runs in a program
score = verify.mutate(rule, x, w)                      # would a faulty rule have been noticed?
"""

import importlib
from typing import TYPE_CHECKING, Any

from verify.report.finding import Finding
from verify.report.report import Report

if TYPE_CHECKING:
    from verify.checking import assert_ok, check
    from verify.checks.order import CHECK_NAMES
    from verify.mutation.score import Score, mutate
    from verify.program.every_rule import check_all
    from verify.spec import parametrize

__all__ = ["CHECK_NAMES", "Finding", "Report", "Score", "assert_ok", "check", "check_all", "mutate", "parametrize"]
HOMES = {
    "CHECK_NAMES": "verify.checks.order",
    "assert_ok": "verify.checking",
    "check": "verify.checking",
    "check_all": "verify.program.every_rule",
    "Score": "verify.mutation.score",
    "mutate": "verify.mutation.score",
    "parametrize": "verify.spec",
}


def __getattr__(name: str) -> Any:
    # JAX is loaded when it is first needed, not by the import.
    if name in HOMES:
        return getattr(importlib.import_module(HOMES[name]), name)
    raise AttributeError(f"module 'verify' has no attribute {name!r}")
