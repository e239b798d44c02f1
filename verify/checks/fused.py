"""The rule behind a computation that XLA fuses with it.

Under `jit` the input of a rule is rarely an argument: it is computed by whatever stands before. XLA may fuse that into
the rule's own operations and compute it once for each of them, keeping more digits in one than in another. A rule that
compares its input with something made of it (the winner of a maximum by `x == y`) then compares two roundings of one
number, and loses cotangents that a call by itself keeps. So the rule is run behind a product, in one program, and held
against itself on the product's result. Asked, as one of the transformations, of rules that compare computed numbers,
forward or backward; the others differ by a rounding.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from verify.call_under_test import CallUnderTest
from verify.function_under_test import PERTURBED
from verify.oracle.compare import finding
from verify.oracle.noise import within_noise
from verify.oracle.primal import equations
from verify.oracle.tolerance import allowed_error, any_true, wrong_elements
from verify.report.finding import Finding
from verify.running import OWN, WIDE, call, is_float, pullback

NAME = "transforms"
COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}
# A product of two roundings: sign, order and symmetry stay, and so do numbers within (0, 1) and (-1, 1).
FACTOR = 0.97
KEPT = {"one-hot", "{0, 1}", "probabilities", "unit rows"}  # domains that a product would leave
DRAWS = 16  # of inputs a roundoff away: numbers that tie in few digits are to win in one of them, each
CAUSE = (
    "the rule compares two roundings of one number: XLA computes the input anew for each use, and keeps more digits "
    "in some. Keep the winner's index, or compare in the input's own dtype"
)


def findings(case: CallUnderTest) -> list[Finding]:
    notes: list[Finding] = []
    if not case.tested.calls or not _compares(case.trace[0]):
        return notes
    for dtype in _dtypes(case):
        found = _behind_a_product(case, dtype)
        if dtype == case.tested.dtype and found:
            return found
        notes += [replace(f, note=True, message=f"in {dtype.name}, {f.message}") for f in found]
    return notes


def _dtypes(case: CallUnderTest) -> list[Any]:
    """The call's own dtype, and bfloat16, where the two roundings are furthest apart."""
    own = np.dtype(case.tested.dtype)
    return list(dict.fromkeys([own, np.dtype(jnp.bfloat16)])) if own != WIDE else [own]


def _compares(closed: Any) -> bool:
    """Whether two floating numbers of which neither is a constant are compared."""
    return any(
        eqn.primitive.name in COMPARISONS
        and all(not isinstance(v, core.Literal) and is_float(v.aval) for v in eqn.invars)
        for eqn in equations(closed)
    )


def _behind_a_product(case: CallUnderTest, dtype: Any) -> list[Finding]:
    leaves = [case.tested.leaves[k] for k in case.tested.arrays]
    multiplied = [leaf.kind == PERTURBED and not KEPT & {d.words for d in leaf.domain} for leaf in leaves]
    if not any(multiplied):
        return []
    pull = pullback(case.tested.flat(case.tested.rule, case.options), case.perturbed)

    def product(arrays, factor):
        return [a * factor if m else a for a, m in zip(arrays, multiplied, strict=True)]

    # Compiled as the user's own programs are: it is the optimisation that is asked about.
    both = jax.jit(lambda arrays, factor, y_bar: pull(product(arrays, *factor), y_bar))
    try:
        arrays, y_bar, factor = case.at(dtype), case.cotangent(dtype, case.y_bar), np.asarray(FACTOR, dtype)
        computed = [np.asarray(a) if m else a for a, m in zip(product(arrays, factor), multiplied, strict=True)]
        alone = case.moved(computed).pull(OWN if dtype == case.tested.dtype else dtype, case.y_bar)[1]
        behind = [np.asarray(b) for b in call(both, dtype, arrays, [factor], y_bar)[1]]
        room = [allowed_error(m, dtype) for m in case.moved(computed).truth.magnitudes]
    except Exception:  # it does not run in this dtype, or no oracle tells a fault from a rounding
        return []
    there = replace(case.moved(computed), label=f"{case.label}, behind a product under jit", example=False)
    bad = [wrong_elements(a, b, r) for a, b, r in zip(alone, behind, room, strict=True)]
    if any_true(bad):
        bad = [b & ~n for b, n in zip(bad, within_noise(there, behind, dtype, DRAWS), strict=True)]
    what = "those of a call on the product's result"
    return [
        replace(finding(NAME, there, name, a, b, wrong, r, what=what), cause=CAUSE)
        for name, a, b, wrong, r in zip(case.names, alone, behind, bad, room, strict=True)
        if wrong.any()
    ]
