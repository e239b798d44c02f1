"""Bit equality on small integers.

A rule that only adds, multiplies and selects maps integers to integers. As long as no sum of products can pass 2ᵖ
(p = 24 for float32, 11 for float16, 8 for bfloat16) every intermediate is exact in every order of summation, so the
rule must agree with the float64 oracle to the last bit: no tolerance, and an error of one unit anywhere is seen.
The bound used is the oracle's magnitude, which is never below Σ|products|.
"""

from collections.abc import Callable
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jax.extend import core

from verify.call_under_test import CallUnderTest
from verify.function_under_test import FLOAT, PERTURBED, Leaf
from verify.generate import intervals
from verify.oracle import kinks
from verify.oracle.compare import finding
from verify.oracle.primal import equations
from verify.oracle.tolerance import wrong_elements
from verify.report.finding import Finding, NotRunError
from verify.running import OWN, WIDE

NAME = "exact"
EVERY_CASE = False
DIGITS = {"float32": 24, "float16": 11, "bfloat16": 8, "float64": 53}
# Primitives whose floating results are sums, products or copies of what they are given.
NAMES = """
add sub mul neg max min abs sign square real imag complex conj add_any select_n clamp dot_general conv_general_dilated
reduce_sum reduce_max reduce_min reduce_window_sum reduce_window_max cumsum argmax argmin
select_and_scatter_add select_and_gather_add gather scatter scatter_add scatter-add
reshape transpose squeeze broadcast_in_dim slice dynamic_slice dynamic_update_slice rev pad concatenate split stack
iota zeros_like convert_element_type copy stop_gradient optimization_barrier
eq ne lt le gt ge and or not xor is_finite
jit pjit closed_call custom_vjp_call custom_jvp_call remat remat2 checkpoint scan cond platform_index
"""
INTEGRAL = frozenset(NAMES.split())


def findings(case: CallUnderTest) -> list[Finding]:
    _refuse_fractions(case)
    found: list[Finding] = []
    for dtype in dict.fromkeys((OWN, jnp.bfloat16) if case.tested.dtype != WIDE else (OWN,)):
        digits = DIGITS[jnp.dtype(case.tested.dtype if dtype is OWN else dtype).name]
        try:
            integral = _small_integers(case, digits)
            got = integral.pull(dtype, integral.y_bar)[1]
        except Exception:
            if dtype is OWN:
                raise
            continue  # too long a sum for bfloat16, or no rule for it: the low-precision check says so
        expected = integral.truth.cotangents
        if any(e.shape != g.shape for e, g in zip(expected, got, strict=True)):
            continue
        zeros = [np.zeros(e.shape) for e in expected]
        wrong = [wrong_elements(e, np.asarray(g, WIDE), z) for e, g, z in zip(expected, got, zeros, strict=True)]
        wrong = kinks.unexplained(integral, dtype, got, zeros, wrong)
        for k, (name, e, g, zero, bad) in enumerate(zip(case.names, expected, got, zeros, wrong, strict=True)):
            if bad.any():
                primal = integral.arrays[integral.perturbed[k]]
                found.append(finding(NAME, integral, name, e, g, bad, zero, primal=primal, what="the exact integer"))
        if found:
            return found
    return []


def _refuse_fractions(case: CallUnderTest) -> None:
    """Raise NotRunError where the rule may leave the integers; looked at once for each shape."""
    key = ("more than integers", repr(sorted(case.options.items())), tuple(a.shape for a in case.arrays))
    if key not in case.tested.compiled:
        case.tested.compiled[key] = _more_than_integers(case)
    if why := case.tested.compiled[key]:
        raise NotRunError(why)


def _more_than_integers(case: CallUnderTest) -> str:
    """Why the rule, forward or backward, may leave the integers; empty if it cannot."""
    closed = case.trace[0]
    for eqn in equations(closed):
        name = eqn.primitive.name
        fractions = name not in INTEGRAL or (name in ("abs", "sign") and any(_complex(v) for v in eqn.invars))
        if fractions and any(_floating(v) for v in eqn.outvars):
            return f"the rule does more than add, multiply and select ({name})"
        for v in eqn.invars:
            if isinstance(v, core.Literal) and _floating(v) and not _whole(v.val):
                return f"the rule uses a number that is not an integer ({v.val})"
    if not all(_whole(c) for c in closed.consts if hasattr(c, "dtype") and jnp.issubdtype(c.dtype, jnp.inexact)):
        return "the rule uses a constant array that is not of integers"
    return ""


def _floating(v) -> bool:
    return hasattr(v.aval, "dtype") and jnp.issubdtype(v.aval.dtype, jnp.inexact)


def _complex(v) -> bool:
    return hasattr(v.aval, "dtype") and jnp.issubdtype(v.aval.dtype, jnp.complexfloating)


def _whole(value) -> bool:
    # The lowest finite number and -inf only ever start a maximum.
    v = np.asarray(value, np.complex128)
    return bool(np.all((v == np.round(v)) | ~np.isfinite(v)))


def _mirrored(v: np.ndarray) -> np.ndarray:
    return np.triu(v) + np.swapaxes(np.triu(v, 1), -1, -2)


def _one_of(v: np.ndarray) -> np.ndarray:
    return np.eye(v.shape[-1], dtype=v.dtype)[v.argmax(-1)]


# Integers of the domain that the example shows, where it has some.
INTEGERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "positive definite": _mirrored,
    "symmetric": _mirrored,
    "antisymmetric": lambda v: np.triu(v, 1) - np.swapaxes(np.triu(v, 1), -1, -2),
    "lower triangular": np.tril,
    "upper triangular": np.triu,
    "orthogonal": lambda v: np.broadcast_to(np.eye(v.shape[-1], dtype=v.dtype), v.shape).copy(),
    **dict.fromkeys(("one-hot", "probabilities", "unit rows"), _one_of),
    **dict.fromkeys(("positive", "nonnegative"), np.abs),
    "negative": lambda v: -np.abs(v),
    "{0, 1}": lambda v: (v > 0).astype(v.dtype),
}


def _inside(values: np.ndarray, leaf: Leaf) -> np.ndarray:
    for domain in leaf.domain:
        values = INTEGERS.get(domain.words, lambda v: v)(values)
    return values


def _small_integers(case: CallUnderTest, digits: int) -> CallUnderTest:
    """The case with small integers, sparse enough that no sum can pass 2^digits."""
    leaves = [case.tested.leaves[k] for k in case.tested.arrays]
    for density in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003):
        rng = np.random.default_rng((case.seed, 6, digits))
        largest = 3 if digits > 12 else 1

        def draw(a, rng=rng, largest=largest, density=density):
            values = rng.integers(-largest, largest + 1, a.shape) * (rng.random(a.shape) < density)
            return values.astype(a.dtype)

        pairs = zip(case.arrays, leaves, strict=True)
        arrays = [_inside(draw(a), f) if f.kind in (PERTURBED, FLOAT) else a for a, f in pairs]
        arrays = intervals.in_order(arrays, leaves)
        label = f"integers of at most {largest}, {density:.0%} of them drawn"
        new = replace(case, label=label, arrays=tuple(arrays), y_bar=tuple(draw(g) for g in case.y_bar), example=False)
        everything = [*new.truth.magnitudes, *new.truth.output_magnitudes]
        if max(float(np.max(m, initial=0)) for m in everything) < 2.0**digits:
            return new
    raise NotRunError(f"sums of this length could pass 2^{digits}")
