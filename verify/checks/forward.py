"""The forward half: `fwd`'s primal output is the function's own value, and both are the reference's.

Under differentiation JAX takes y from the forward rule, not from the function, and JAX does not compare them: a forward
rule with another output trains on one function and predicts with another.
"""

from collections.abc import Callable

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle import samplers
from verify.oracle.compare import differences
from verify.oracle.instances import INSTANCE
from verify.oracle.noise import loop_noise, moved_by_roundoff, truth_moved_by_roundoff
from verify.oracle.tolerance import ROOM, allowed_error, any_true, largest, unit_roundoff, wrong_elements
from verify.report.finding import Finding, NotRunError
from verify.running import OWN, WIDE, call, compiled, is_float

NAME = "forward"
EVERY_CASE = True


def findings(case: CallUnderTest) -> list[Finding]:
    samplers.refuse(case)
    if case.reshaped:
        try:
            return _value(case, *_wide(case))
        except NotRunError:
            return _without_gradient(case)
    if case.flushed:
        raise NotRunError("the backend may flush these numbers to zero")
    flat = case.tested.flat(case.tested.rule, case.options)
    run = compiled(case, "plain", OWN, lambda: lambda arrays: flat(*arrays), once=True)
    plain = [np.asarray(y) for y in call(run, OWN, list(case.arrays))]
    try:
        magnitudes = case.truth.output_magnitudes
    except NotRunError:
        magnitudes = [np.abs(np.asarray(y, WIDE)) * np.sqrt(y.size) for y in plain]
    if not any(np.any(_finite(y)) for y in plain):
        raise NotRunError("the function's own value is not finite here")
    allowed = [_allowed(m, y) for m, y in zip(magnitudes, plain, strict=True)]
    doubled = [2 * a for a in allowed]
    what = "the function's value without differentiation"
    what += ", by the method vjp_fwd" if INSTANCE in case.tested.primitives else ""

    def unexplained(bad: list[np.ndarray]) -> list[np.ndarray]:
        bad = _where_finite(plain)(bad)
        if not any_true(bad):
            return bad
        # One operation, a cast to eight bits, may round otherwise where XLA optimises more.
        optimised = [np.asarray(y) for y in call(jax.jit(lambda arrays: flat(*arrays)), OWN, list(case.arrays))]
        bad = [b & wrong_elements(o, y, a) for b, o, y, a in zip(bad, optimised, case.own[0], doubled, strict=True)]
        apart = zip(bad, plain, case.own[0], moved_by_roundoff(case, run, plain), strict=True)
        return [b & wrong_elements(p, y, ROOM * noise) for b, p, y, noise in apart]

    found = differences(
        NAME, case, plain, case.own[0], doubled, names=_names(plain), what=what, unexplained=unexplained
    )
    return found or _value(case, plain, allowed)


def _wide(case: CallUnderTest) -> tuple[list[np.ndarray], list[np.ndarray]]:
    y, room = case.wide[0], case.narrowest / unit_roundoff(WIDE)
    allowed = [_allowed(m, v) * room for m, v in zip(case.truth.output_magnitudes, y, strict=True)]
    own = case.tested.dtype
    if own == WIDE:
        return y, allowed
    # Run in float64 for the sake of one program; what the call's own dtype cannot resolve is no fault.
    sizes = [4 * unit_roundoff(own) * largest(v) if is_float(v) else 0.0 for v in y]
    return y, [np.maximum(a, s) for a, s in zip(allowed, sizes, strict=True)]


def _value(case: CallUnderTest, plain: list[np.ndarray], allowed: list[np.ndarray]) -> list[Finding]:
    """Against the oracle's value, where there is one and it is finite."""
    try:
        exact = case.truth.outputs
    except NotRunError:
        return []
    if not any(np.any(_finite(y)) for y in exact):
        raise NotRunError("the oracle itself is not finite here")
    noise = loop_noise(case)
    if noise:
        sizes = [noise * largest(y) if is_float(y) else 0.0 for y in exact]
        allowed = [a + s for a, s in zip(allowed, sizes, strict=True)]
    what = "the reference's value"
    found = differences(
        NAME, case, exact, plain, allowed, names=_names(plain), what=what, unexplained=_where_finite(exact)
    )
    if not found or case.reshaped or _as_at_own_dtype(case, plain, allowed):
        return []
    moved = [np.maximum(a, ROOM * m) for a, m in zip(allowed, truth_moved_by_roundoff(case), strict=True)]
    return found if any(wrong_elements(e, y, a).any() for e, y, a in zip(exact, plain, moved, strict=True)) else []


def _without_gradient(case: CallUnderTest) -> list[Finding]:
    """The rule's floating outputs against the reference's, where one of the two cannot be differentiated."""
    if case.tested.reference is None:
        raise NotRunError("the function cannot be differentiated here")
    got, exact = case.value(case.at(WIDE), case.tested.rule, "rule's value"), case.value(case.at(WIDE))
    if not any(np.any(_finite(y)) for y in exact):
        raise NotRunError("the oracle itself is not finite here")
    room = ROOM * unit_roundoff(case.tested.dtype)
    allowed = [np.full(y.shape, room * np.sqrt(y.size) * largest(y)) for y in exact]
    what = "the reference's value"
    return differences(NAME, case, exact, got, allowed, names=_names(got), what=what, unexplained=_where_finite(exact))


def _as_at_own_dtype(case: CallUnderTest, plain: list[np.ndarray], allowed: list[np.ndarray]) -> bool:
    """Whether the oracle at the example's own dtype has this value: random draws and roundings are other functions
    in float64 than in float32, and a formula may overflow there whatever rule it has."""
    try:
        theirs = case.pull(OWN, case.y_bar, case.tested.oracle(case.options), "autodiff")[0]
    except Exception:
        return False
    triples = zip(theirs, plain, allowed, strict=True)
    return not any((wrong_elements(t, y, a) & ~(np.isnan(t) & np.isnan(y))).any() for t, y, a in triples)


def _finite(y: np.ndarray) -> np.ndarray:
    return np.isfinite(np.asarray(y, WIDE)) if is_float(y) else np.ones(y.shape, bool)


def _where_finite(expected: list[np.ndarray]) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """An element that is not finite where it should be known drops itself."""
    return lambda bad: [b & _finite(e) for b, e in zip(bad, expected, strict=True)]


def _allowed(magnitude: np.ndarray, y: np.ndarray) -> np.ndarray:
    return allowed_error(magnitude, y.dtype) if is_float(y) else np.zeros(y.shape)


def _names(outputs: list[np.ndarray]) -> list[str]:
    return ["output"] if len(outputs) == 1 else [f"output {k}" for k in range(len(outputs))]
