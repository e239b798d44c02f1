"""The rule runs, and finite inputs and cotangents give finite cotangents wherever the oracle is finite.

An infinity or NaN in one element ruins the whole step it enters, so this is asked at the example's own dtype, with
its own range: exp(100) is finite in float64 and is not in float32.
"""

import jax.numpy as jnp
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.checks.contract import cause_of
from verify.checks.differences import slope_along
from verify.function_under_test import first_line
from verify.generate import far_from_zero
from verify.oracle import samplers
from verify.oracle.by_hand import plain
from verify.oracle.noise import compiled_otherwise, singular
from verify.oracle.searches import refuse_unsolved
from verify.report.finding import Finding, NotRunError, UncheckableError
from verify.running import OWN, call, compiled, finite, is_float

NAME = "finite"
EVERY_CASE = True
UNSTABLE = "an overflow, 0/0 or log 0 in the rule: use the stable form, or mask before dividing"
CLOSE, TINY, SMOOTH = 1e-2, 1e-9, 1.5  # the error bar of a slope, and how the Taylor remainder falls


def findings(case: CallUnderTest) -> list[Finding]:
    if case.reshaped:
        raise NotRunError("not run at other shapes, each of which would compile a program for one run")
    if case.flushed:
        raise NotRunError("the backend may flush these numbers to zero")
    try:
        bars = case.own[1]
    except NotRunError:
        raise
    except Exception as error:
        if _refused(case):
            if case.example:
                raise UncheckableError(f"the call itself fails: {first_line(error)}") from error
            raise NotRunError("the function itself refuses these numbers") from error
        text, whose = f"running the rule raises {first_line(error)}", "the backward rule"
        # A program runs on any numbers unless it is told to refuse some, as a solver does that breaks down.
        note = not case.example
        return [Finding(NAME, whose, None, None, None, "raises", text, case.label, cause_of(error), note=note)]
    if _known(case):
        refuse_unsolved(case, bars)
    found = []
    for k, (name, bar) in enumerate(zip(case.names, bars, strict=True)):
        bad = ~np.isfinite(np.asarray(bar, np.float64)) & _finite_truth(case, k, bar.shape)
        if case.stress and bad.any():
            bad &= ~np.isfinite(np.asarray(compiled_otherwise(case)[k], np.float64))
        if bad.any() and case.stress and far_from_zero.is_at(case):
            bad &= _autodiff_is_finite(case, k)
        if bad.any() and _finite_inputs(case) and (not case.stress or finite_value(case)):
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            text = f"{int(bad.sum())} of {bad.size} elements are not finite, from finite inputs"
            cause = far_from_zero.CAUSE if far_from_zero.is_at(case) else UNSTABLE
            # Without an oracle the true cotangent may be infinite, as a root's at 0 is; of a draw autodiff is none.
            unknown = samplers.rejects(case) and case.tested.reference is None
            unknown = unknown or (not _known(case) and not _has_slope(case, k, index))
            note = not case.example and (unknown or plain(case))
            found.append(
                Finding(NAME, name, index, None, float(bar[index]), "not finite", text, case.label, cause, note=note)
            )
    return found


def _finite_inputs(case: CallUnderTest) -> bool:
    """Whether a cotangent that is not finite is the rule's doing: inputs, outputs and the oracle all are finite."""
    arrays = [a for a in case.arrays if jnp.issubdtype(a.dtype, jnp.floating)]
    if not all(np.all(np.isfinite(np.asarray(a, np.float64))) for a in (*arrays, *case.y_bar)):
        return False
    try:
        limit = float(jnp.finfo(case.tested.dtype).max) / 16
        # In saturated calls one element's overflow reaches its neighbours; elsewhere it drops itself alone.
        outputs = [y for y in case.truth.outputs if is_float(y)]
        known = [*case.truth.cotangents, *outputs] if case.stress else outputs
        return all(np.all(np.isfinite(t)) and np.abs(t).max(initial=0) < limit for t in known)
    except NotRunError:
        if case.on_the_boundary:
            return False  # the true cotangent may be infinite there, as that of a square root is, or finite
        return all(np.all(np.isfinite(np.asarray(y, np.float64))) for y in case.own[0])


def finite_value(case: CallUnderTest) -> bool:
    """Whether the function itself, or its reference, has a finite value here at the example's own dtype."""
    flat = case.tested.flat(case.tested.reference or case.tested.rule, case.options)
    run = compiled(case, "plain reference" if case.tested.reference else "plain", OWN, lambda: lambda a: flat(*a))
    return finite(call(run, OWN, list(case.arrays)))


def _autodiff_is_finite(case: CallUnderTest, k: int) -> np.ndarray:
    """Where autodiff is finite at the example's own dtype: an arccosine has lost all digits of a small angle before any
    rule is asked."""
    try:
        bar = case.pull(OWN, case.y_bar, case.tested.oracle(case.options), "autodiff")[1][k]
    except Exception:  # there is no autodiff
        return np.ones(case.arrays[case.perturbed[k]].shape, bool)
    return np.isfinite(np.asarray(bar, np.float64))


def _known(case: CallUnderTest) -> bool:
    """Whether there is an oracle to say that the truth is finite."""
    try:
        return bool(case.truth)
    except NotRunError:
        return False


def _has_slope(case: CallUnderTest, k: int, index: tuple[int, ...]) -> bool:
    """Whether the function, which autodiff cannot differentiate, has a derivative at this element by differences."""
    direction = [np.zeros(case.arrays[n].shape) for n in case.perturbed]
    direction[k][index] = 1.0
    try:
        slope = slope_along(case, direction, case.narrowest)
    except NotRunError:
        return False
    return slope.bar <= CLOSE * abs(slope.value) + TINY and slope.exponent(slope.value) >= SMOOTH


def _refused(case: CallUnderTest) -> bool:
    """Whether the function without a derivative raises too, as Equinox's solvers do at a singular matrix."""
    try:
        finite_value(case)
    except Exception:
        return True
    return False


def _finite_truth(case: CallUnderTest, k: int, shape: tuple[int, ...]) -> np.ndarray:
    """Where the oracle's cotangent number `k` is finite, with room at the example's dtype; everywhere without one."""
    try:
        truth = case.truth.cotangents[k]
        if singular(case):
            return np.zeros(shape, bool)
    except NotRunError:
        return np.ones(shape, bool)
    if truth.shape != shape:
        return np.ones(shape, bool)
    return np.isfinite(truth) & (np.abs(truth) < float(jnp.finfo(case.tested.dtype).max) / 16)
