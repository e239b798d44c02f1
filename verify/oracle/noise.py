"""The noise of a function that iterates until a tolerance of its own: nothing below it is a fault of a derivative.

Newton's method, conjugate gradients and fixed points stop once a residual is small, 1e-5 or so; their values, and
the cotangents that a backward rule solves for in the same way, are right to about that and the problem's conditioning.
"""

import jax.numpy as jnp

from verify.case import Case
from verify.oracle.primal import equations

STOPPING = 1e-3  # of the largest element: tolerances in use are 1e-5 to 1e-6, conditions 10 to 100


def loop_noise(case: Case) -> float:
    """Relative to the largest element: 0 where no loop of the rule, forward or backward, ends by comparing floats."""
    key = ("loop noise", repr(sorted(case.options.items())))
    if key not in case.subject.compiled:
        case.subject.compiled[key] = STOPPING if _iterates(case) else 0.0
    return case.subject.compiled[key]


def _iterates(case: Case) -> bool:
    try:
        closed = case.trace[0]
    except Exception:
        return False
    loops = [e for e in equations(closed) if e.primitive.name == "while"]
    inner = [c for e in loops for c in equations(e.params["cond_jaxpr"])]
    inputs = [v for c in inner if c.primitive.name in ("lt", "le", "gt", "ge") for v in c.invars]
    return any(jnp.issubdtype(v.aval.dtype, jnp.floating) for v in inputs)
