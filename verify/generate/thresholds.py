"""Numbers below a small threshold of the rule's own: the series that takes over there, as of sin(x)/x, is run nowhere
else.

Larger thresholds lie among the numbers that are generated anyhow; what is below the smallest here is a guard.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jax.extend import core

from verify.call_under_test import CallUnderTest
from verify.generate.domain import scale_of
from verify.oracle.primal import equations

COMPARISONS = {"lt", "le", "gt", "ge"}
SMALLEST, LARGEST = 1e-5, 1e-2  # of the example's scale
MOST = 2


def plans(case: CallUnderTest) -> Iterator[tuple[str, dict[int, Callable], bool]]:
    """(label, fillers, stress) of the first argument at each threshold."""
    for n, name in list(zip(case.perturbed, case.names, strict=True))[:1]:
        scale = scale_of(case.tested.leaves[case.tested.arrays[n]].value)
        for number in [t for t in thresholds(case) if SMALLEST * scale <= t <= LARGEST * scale][:MOST]:
            yield f"{name} below {number:g}", {n: _below(number)}, False


def thresholds(case: CallUnderTest) -> list[float]:
    """The floating numbers that rule and function compare with, the smallest first."""
    try:
        compared = [e for e in equations(case.trace[0]) if e.primitive.name in COMPARISONS]
    except Exception:  # it cannot be traced, which `contract` says
        return []
    found = [v.val for e in compared for v in e.invars if isinstance(v, core.Literal)]
    return sorted({float(np.format_float_positional(v, 6, fractional=False)) for v in found if _number(v)})


def _number(value: Any) -> bool:
    return np.ndim(value) == 0 and np.issubdtype(np.asarray(value).dtype, np.floating) and bool(value > 0)


def _below(number: float) -> Callable:
    def fill(rng, shape, scale):
        below = number * rng.uniform(0.2, 0.9, shape) * rng.choice([-1.0, 1.0], shape)
        return np.where(rng.random(shape) < 0.75, below, scale * rng.standard_normal(shape))

    return fill
