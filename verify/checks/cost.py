"""What the rule keeps between forward and backward, and, if asked, how long its backward takes.

Residuals are the leaves of the pullback that JAX holds; their shapes are known without running anything. They are
compared with a budget if one is declared (`residual_bytes`), and with what autodiff of the oracle would keep. Time is
measured only when a limit is declared (`time_ratio`): the rule's forward and backward against autodiff's, compiled
alike, the shortest of several runs.
"""

import time

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.report.finding import Finding
from verify.running import OWN, call, of_perturbed, pullback

NAME = "cost"
EVERY_CASE = False
RUNS = 7


def findings(case: CallUnderTest) -> list[Finding]:
    limits, found = case.tested.limits, []
    kept = residuals(case, case.tested.flat(case.tested.rule, case.options))
    budget = limits.get("residual_bytes")
    total = sum(size for _, size in kept)
    if budget is not None and total > budget:
        largest = ", ".join(f"{name} {size}" for name, size in sorted(kept, key=lambda r: -r[1])[:4])
        text = f"the rule keeps {total} bytes, {budget} are allowed; largest: {largest}"
        found.append(Finding(NAME, "residuals", None, float(budget), float(total), "too large", text, case.label))
    if limits.get("time_ratio") is not None:
        own, theirs = times(case)
        if own > limits["time_ratio"] * theirs:
            text = f"forward and backward take {own * 1e3:.3g} ms, autodiff {theirs * 1e3:.3g} ms"
            found.append(Finding(NAME, "time", None, theirs, own, "too slow", text, case.label))
    return found


def note(case: CallUnderTest) -> str:
    """One line for the report: bytes kept, leaf by leaf, beside autodiff's."""
    kept = residuals(case, case.tested.flat(case.tested.rule, case.options))
    held = ", ".join(name for name, _ in kept[:5]) or "nothing"
    text = f"keeps {sum(s for _, s in kept)} bytes for the backward pass ({held})"
    try:
        theirs = sum(s for _, s in residuals(case, case.tested.oracle(case.options)))
        text += f"; autodiff would keep {theirs}"
    except Exception:
        return text
    return text


def residuals(case: CallUnderTest, flat) -> list[tuple[str, int]]:
    """(dtype and shape in words, bytes) of each array that the pullback holds."""
    arrays = list(case.arrays)

    def kept(*chosen):
        return jax.tree_util.tree_leaves(jax.vjp(of_perturbed(flat, arrays, case.perturbed), *chosen)[1])

    shapes = jax.eval_shape(kept, *[arrays[n] for n in case.perturbed])
    return [(f"{s.dtype}[{','.join(map(str, s.shape))}]", int(np.prod(s.shape)) * s.dtype.itemsize) for s in shapes]


def times(case: CallUnderTest) -> tuple[float, float]:
    """Seconds of forward and backward, (the rule's, autodiff's): the shortest of several alternating runs."""
    functions = [case.tested.flat(case.tested.rule, case.options), case.tested.oracle(case.options)]
    runs = [jax.jit(pullback(f, case.perturbed)) for f in functions]
    best = [np.inf, np.inf]
    for attempt in range(RUNS + 1):
        for k, run in enumerate(runs):
            start = time.perf_counter()
            call(run, OWN, list(case.arrays), list(case.y_bar))
            if attempt:  # the first one compiles
                best[k] = min(best[k], time.perf_counter() - start)
    return float(best[0]), float(best[1])
