"""A rule that differentiates itself: `jax.vjp(f, x)` in the backward rule of `f` calls that backward rule, without end.

JAX traces it until the machine has no memory left, long before Python's own limit. So the functions of a rule that
holds itself are counted while it is traced for the first time; other rules are traced as always.
"""

import sys
import types
from typing import Any

from verify.call_under_test import CallUnderTest
from verify.generate.own_code import parts
from verify.program.closures import RULES

DERIVATIVES = ("fwd", "bwd", "jvp")  # the functions of a rule that JAX calls to differentiate it
DEEPEST = 10  # calls inside each other; a function of halves of its argument may call itself as often


class EndlessError(RuntimeError):
    """A rule calls itself without end."""


def look(case: CallUnderTest) -> None:
    """Trace a rule that holds itself for the first time; raises EndlessError where it differentiates itself. Under a
    profiler, which Python has but one of, nothing is counted."""
    codes, depth = _of_themselves(case.tested.rule), dict[types.CodeType, int]()
    if not codes or sys.getprofile():
        return

    def count(frame, event, argument):
        code = frame.f_code
        if code in codes and event in ("call", "return"):
            depth[code] = depth.get(code, 0) + (1 if event == "call" else -1)
            if depth[code] > DEEPEST:
                raise EndlessError(
                    f"its {codes[code]} differentiates the function by this very rule, and so calls itself without "
                    "end: differentiate a function without the rule"
                )

    sys.setprofile(count)
    try:
        case.trace  # noqa: B018 (whatever else it raises, `contract` says)
    except EndlessError:
        raise
    except Exception:
        return
    finally:
        sys.setprofile(None)


def _of_themselves(rule: Any) -> dict[types.CodeType, str]:
    """The code of the rules' functions that hold their rule, and what these functions are."""
    functions = [(r, d, getattr(r, d, None)) for r in parts(rule) if isinstance(r, RULES) for d in DERIVATIVES]
    functions = [(r, d, f) for r, d, f in functions if isinstance(f, types.FunctionType)]
    return {f.__code__: d for r, d, f in functions if any(part is r for part in parts(f))}
