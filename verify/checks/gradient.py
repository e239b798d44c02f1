"""Every cotangent, element by element, against reverse-mode autodiff in float64.

For y = f(x) and a cotangent ȳ the rule must return x̄ = (∂f/∂x)ᵀ ȳ. With a random ȳ each element of x̄ is a different
random combination of that element's partial derivatives, so an element is right by chance with probability zero; and
since elements are compared one by one, one wrong among a million is as visible as a million.

The rule is run in float64, where only a few roundoffs separate it from the oracle, and again at its own dtype. What
differs in float64 by less than the dtype of the call resolves is a note. Without a reference, an element that disagrees
at a kink is right if a convention explains it.
"""

from dataclasses import replace

import numpy as np

from verify.call_under_test import CallUnderTest
from verify.generate.repeated import beyond_the_example
from verify.oracle import guards, kinks, samplers
from verify.oracle.by_hand import plain
from verify.oracle.compare import below_dtype, finding, outside_example
from verify.oracle.explain import explained
from verify.oracle.instances import by_methods
from verify.oracle.noise import (
    ROOM,
    below_normal,
    cancelled,
    compiled_otherwise,
    loop_noise,
    measured,
    singular,
    within_noise,
)
from verify.oracle.rounding import COARSE, WORSE, autodiff, of_the_rule, resolved, usable
from verify.oracle.searches import refuse_unsolved
from verify.oracle.tolerance import allowed_error, any_true, largest, unit_roundoff, wrong_elements
from verify.report.finding import Finding, NotRunError, apart
from verify.running import OWN, WIDE, finite, is_float

NAME = "gradient"
EVERY_CASE = True


def findings(case: CallUnderTest) -> list[Finding]:
    if not any_true(_finite(case)):
        raise NotRunError("the oracle itself is not finite here")
    if singular(case):
        raise NotRunError("the function is singular here: its derivative is the rounding error of 1/0")
    if case.reshaped and all(np.isnan(y).all() for y in case.truth.outputs if is_float(y)):
        raise NotRunError("the function itself has no value at these sizes")
    samplers.refuse_held(case)
    try:
        wide = case.wide[1]
    except NotRunError:
        wide = None
    if wide is not None and case.flushed and case.narrowest > unit_roundoff(WIDE):
        raise NotRunError("a narrower dtype inside the function flushes these numbers to zero")
    found = []
    if wide is not None:
        found = _at(case, WIDE, wide, case.narrowest) or guards.findings(NAME, case, wide)
    faults = [f for f in found if not f.note]
    said = wide is not None and (case.reshaped or case.tested.dtype == WIDE)
    if not faults and not said and not case.flushed and usable(case):
        unit = case.own_unit
        found += _at(case, OWN, case.own[1], unit, wide)
    return found


def _finite(case: CallUnderTest) -> list[np.ndarray]:
    """Per leaf, where the oracle and its error bound are finite: an element where they are not says nothing."""
    pairs = zip(case.truth.cotangents, case.truth.magnitudes, strict=True)
    return [np.isfinite(e) & np.isfinite(m) & (np.abs(e) < 1e300) for e, m in pairs]


def _at(
    case: CallUnderTest, level: object, got: list[np.ndarray], unit: float, right: list[np.ndarray] | None = None
) -> list[Finding]:
    """What is wrong with the cotangents `got`, which the rule gave at this level; those in float64 were `right`."""
    pairs = list(zip(case.names, case.truth.cotangents, got, strict=True))
    misshapen = [(name, e.shape, g.shape) for name, e, g in pairs if e.shape != g.shape]
    if misshapen:
        texts = [(name, f"the cotangent's shape is {g}, expected {e}") for name, e, g in misshapen]
        return [Finding(NAME, name, None, None, None, "shape", text, case.label) for name, text in texts]
    allowed = _allowed(case, level, unit)
    bad = _differing(case, got, allowed)
    if case.long and any_true(bad):  # the error analysis costs a compilation, and is asked for only now
        allowed = _allowed_after_analysis(case, level, unit)
        bad = _both(bad, _differing(case, got, allowed))
    bad = _beyond_noise(case, level, got, allowed, bad, right)
    bad = kinks.unexplained(case, level, got, allowed, bad)
    refuse_unsolved(case, got, bad)
    found = []
    for k, (name, e, g) in enumerate(pairs):
        if not bad[k].any():
            continue
        beyond = resolved(case, k) if level is WIDE else loop_noise(case) * largest(e)
        real = bad[k] & wrong_elements(e, g, np.broadcast_to(beyond, e.shape))
        if real.any() and _beyond(case, g[real]):
            found.append(_outside(case, name, e, g, real))
        elif real.any():
            primal = case.arrays[case.perturbed[k]]
            what = f"the oracle's{by_methods(case.tested.primitives)}"
            said = finding(NAME, case, name, e, g, real, allowed[k], primal=primal, what=what)
            found.append(_by_options(explained(said, case, k, got, real, unit), case))
        elif case.tested.dtype != WIDE:
            found.append(below_dtype(NAME, case, name, e, g, bad[k]))
    return found


def _allowed(case: CallUnderTest, level: object, unit: float) -> list[np.ndarray]:
    """The errors that rounding at this level explains, element by element."""
    allowed = [
        allowed_error(m, d) * _narrowing(case, unit / unit_roundoff(d))
        for m, d in zip(case.truth.magnitudes, _dtypes(case, level), strict=True)
    ]
    if level is WIDE and not case.reshaped:
        allowed = [measured(case, k, a, unit) for k, a in enumerate(allowed)]
    if noise := loop_noise(case):  # before any kink is looked for, for which the loops would run again and again
        allowed = [a + noise * largest(e) for a, e in zip(allowed, case.truth.cotangents, strict=True)]
    return allowed


def _allowed_after_analysis(case: CallUnderTest, level: object, unit: float) -> list[np.ndarray]:
    pairs = zip(case.measured.magnitudes, _dtypes(case, level), strict=True)
    return [allowed_error(m, d) * max(1.0, unit / unit_roundoff(d)) for m, d in pairs]


def _dtypes(case: CallUnderTest, level: object) -> list[np.dtype]:
    return [np.dtype(WIDE) if level is WIDE else case.arrays[n].dtype for n in case.perturbed]


def _differing(case: CallUnderTest, got: list[np.ndarray], allowed: list[np.ndarray]) -> list[np.ndarray]:
    """The elements that differ from the oracle's by more than is allowed, where it says anything."""
    quadruples = zip(case.truth.cotangents, got, allowed, _finite(case), strict=True)
    bad = [wrong_elements(e, g, a) & judged for e, g, a, judged in quadruples]
    if any(np.isnan(y).any() for y in case.truth.outputs if is_float(y)):  # as in the softmax of a masked row
        bad = [b & ~np.isnan(np.asarray(g, np.float64)) for b, g in zip(bad, got, strict=True)]
    return bad


def _beyond_noise(
    case: CallUnderTest,
    level: object,
    got: list[np.ndarray],
    allowed: list[np.ndarray],
    bad: list[np.ndarray],
    right: list[np.ndarray] | None,
) -> list[np.ndarray]:
    """The elements among `bad` that differ by more than moving the inputs by a roundoff does."""
    if level is WIDE:
        if loop_noise(case) and any_true(bad):  # where a loop does not converge, a roundoff decides
            bad = _both(bad, [~n for n in within_noise(case, got, WIDE)])
        if not case.example and any_true(bad):
            unit = case.own_unit if below_normal(case) else unit_roundoff(WIDE)  # a guard leaves more
            bad = _both(bad, [~cancelled(case, k, g, unit) for k, g in enumerate(got)])
    elif case.tested.dtype != WIDE:
        bad = [b & wrong_elements(autodiff(case, k), got[k], allowed[k]) if b.any() else b for k, b in enumerate(bad)]
        if right is not None and any_true(bad):
            bad = _both(bad, [~n for n in _as_in_float64(case, got, right)])
            bad = _both(bad, [~n for n in within_noise(case, got, OWN)])
            bad = _both(bad, [~cancelled(case, k, g, case.own_unit) for k, g in enumerate(got)])
            if any_true(bad) and not (case.example or case.reshaped):
                bad = _both(bad, _differing(case, compiled_otherwise(case), allowed))
    if any_true(bad) and plain(case):  # JAX against JAX: what rounding costs it, at a branch that it decides, too
        bad = [np.zeros_like(b) for b in bad]
    far = any_true(_both(bad, _differing(case, got, [WORSE * a for a in allowed])))
    if any_true(bad) and not far and not case.reshaped:
        bad = _both(bad, _differing(case, got, of_the_rule(case, allowed, _dtypes(case, level))))
    return bad


def _as_in_float64(case: CallUnderTest, got: list[np.ndarray], right: list[np.ndarray]) -> list[np.ndarray]:
    """Where autodiff is no oracle, as of a bisection, whose slope differences have found right in float64, the rule is
    held against itself."""
    differing, unit = _differing(case, right, _allowed(case, WIDE, case.narrowest)), case.own_unit
    near = [np.abs(g - r) <= max(COARSE, ROOM * unit) * largest(r) for g, r in zip(got, right, strict=True)]
    return _both(differing, [n | cancelled(case, k, got[k], unit, right[k]) for k, n in enumerate(near)])


def _both(first: list[np.ndarray], second: list[np.ndarray]) -> list[np.ndarray]:
    return [a & b for a, b in zip(first, second, strict=True)]


def _by_options(found: Finding, case: CallUnderTest) -> Finding:
    """A call with other options than the example's comes after one of its sizes, which was right."""
    if not case.options:
        return found
    names, given = " and ".join(case.options), ", ".join(f"{name}={value!r}" for name, value in case.options.items())
    text = f"right as called, wrong with {given}: see what the backward rule does with {names}"
    return replace(found, cause=f"{text}; {found.cause}" if found.cause else text)


def _valueless(case: CallUnderTest) -> bool:
    """Whether the function itself is not finite here, as the logarithm of a sum with weights that are all 0 is not:
    what autodiff says there is the guard of some formula."""
    return not finite(case.truth.outputs)


def _beyond(case: CallUnderTest, wrong: np.ndarray) -> bool:
    zero = case.on_the_boundary and bool(np.all(np.isfinite(wrong)) or _valueless(case))
    return zero or beyond_the_example(case)


def _outside(case: CallUnderTest, name: str, e: np.ndarray, g: np.ndarray, bad: np.ndarray) -> Finding:
    """A difference where what is positive in the example is 0: no derivative is promised there, only that finite
    numbers stay finite, where the function has a finite value. Or where an index of a permutation occurs twice."""
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    count, values = f"{int(bad.sum())} of {bad.size} elements differ", apart(e[index], g[index])
    return outside_example(NAME, case, name, f"{count} ({values})")


def _narrowing(case: CallUnderTest, ratio: float) -> float:
    """How much more to allow a rule that casts to a narrower type inside. The magnitudes of reshaped cases already
    are generous by several digits, which need not be given twice."""
    return max(1.0, ratio / 1e4 if case.reshaped else ratio)
