"""The noise of a function, as it iterates until a tolerance of its own or rounds: nothing below it is a fault.

Newton's method, conjugate gradients and fixed points stop once a residual is small, 1e-5 or so; their values, and
the cotangents that a backward rule solves for in the same way, are right to about that and the problem's conditioning.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from verify.case import Case
from verify.oracle.primal import equations
from verify.oracle.tolerance import unit_roundoff
from verify.running import OWN, call, is_float

MOVES = 3
STOPPING = 1e-3  # of the largest element: tolerances in use are 1e-5 to 1e-6, conditions 10 to 100


def loop_noise(case: Case) -> float:
    """Relative to the largest element: 0 where no loop of the rule, forward or backward, ends by comparing floats."""
    key = ("loop noise", repr(sorted(case.options.items())))
    if key not in case.subject.compiled:
        case.subject.compiled[key] = STOPPING if _iterates(case) else 0.0
    return case.subject.compiled[key]


def moved_by_roundoff(case: Case, run: Callable, values: list[np.ndarray]) -> list[np.ndarray]:
    """How far the outputs `values` of `run(arrays)` move, at most in a few draws, when every input moves by one
    roundoff: where rounding cancels or grows (the deviation of equal numbers), first-order analysis is blind."""
    noise = [np.zeros(np.shape(v)) for v in values]
    rng = np.random.default_rng((case.seed, 15))
    for _ in range(MOVES):
        arrays = list(case.arrays)
        for n in case.perturbed:
            a = arrays[n]
            step = 1 + 2 * unit_roundoff(a.dtype) * rng.choice([-1.0, 1.0], a.shape)
            arrays[n] = (a.astype(np.float64) * step).astype(a.dtype)
        moved = call(run, OWN, arrays)
        pairs = zip(noise, moved, values, strict=True)
        noise = [
            np.fmax(size, np.abs(np.asarray(m, np.float64) - np.asarray(v, np.float64))) if is_float(v) else size
            for size, m, v in pairs
        ]
    return noise


def _iterates(case: Case) -> bool:
    try:
        closed = case.trace[0]
    except Exception:
        return False
    loops = [e for e in equations(closed) if e.primitive.name == "while"]
    inner = [c for e in loops for c in equations(e.params["cond_jaxpr"])]
    inputs = [v for c in inner if c.primitive.name in ("lt", "le", "gt", "ge") for v in c.invars]
    return any(jnp.issubdtype(v.aval.dtype, jnp.floating) for v in inputs)
