"""Which generated calls the example promises to be calls at all, though the function takes them."""

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import INTEGER
from verify.generate.domain import occur_once
from verify.oracle.primal import equations, inner
from verify.running import WIDE


def promised(case: CallUnderTest, example: CallUnderTest) -> bool:
    return not (_written_twice(case, example) or _reflected_whole(case, example) or _unwritten(case))


def _written_twice(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether more rows are written than there are, where the example writes each once: which one stays has no rule."""
    if "scatter" not in case.tested.primitives:
        return False
    labels = [n for n, k in enumerate(case.tested.arrays) if case.tested.leaves[k].kind == INTEGER]
    several = [n for n in labels if example.arrays[n].shape[-1:] > (1,)]
    return any(occur_once(example.arrays[n]) and not occur_once(case.arrays[n]) for n in several)


def _reflected_whole(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether `jnp.pad` reflects an axis that is no longer than its padding, unlike in the example: one row has no
    reflection, and NumPy repeats it."""
    return _repeats(case) and not _repeats(example)


def _repeats(case: CallUnderTest) -> bool:
    try:
        pads = [e for e in equations(case.trace[0]) if e.params.get("name") == "_pad"]
    except Exception:  # it cannot be traced, which `contract` says
        return False
    reflections = [e for e in pads if any(i.primitive.name == "rev" for i in equations(inner(e)))]
    shapes = [(e.invars[0].aval.shape, e.outvars[0].aval.shape) for e in reflections]
    return any(3 * before <= after for pair in shapes for before, after in zip(*pair, strict=True))


def _unwritten(case: CallUnderTest) -> bool:
    """Whether a Pallas kernel, whose blocks need not divide every size, leaves entries of its output unwritten: in
    interpret mode they are NaN, where the reference has numbers. No such call was promised."""
    if "pallas_call" not in case.tested.primitives or case.tested.reference is None:
        return False
    try:
        values, exact = case.value(case.at(WIDE), case.tested.rule, "rule's value"), case.value(case.at(WIDE))
    except Exception:  # which the checks say
        return False
    pairs = zip(values, exact, strict=True)
    return any(v.shape == e.shape and bool(np.any(np.isnan(v) & np.isfinite(e))) for v, e in pairs)
