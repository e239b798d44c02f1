"""float16 and bfloat16: each operation may round once, sums must be carried in something wider.

The oracle runs in float64 on the same rounded numbers. A rule whose sums accumulate in float32 is off by a few
roundoffs of the intermediates it stored, which the error analysis counts; one that accumulates in the narrow type
loses about √n roundoffs of a sum of n like terms (and stops adding altogether at n = 256 in bfloat16). So the numbers
here are positive, and the batch long. A rule passes too if it loses no more than twice what autodiff loses there.

A verdict is relative to the dtype of the call: what a rule loses in a dtype that its caller does not use is a note,
unless `gradient` finds a fault of the same numbers at the caller's dtype.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.checks import gradient
from verify.function_under_test import FLOAT, PERTURBED, first_line
from verify.generate.domain import SIGN
from verify.generate.intervals import in_order
from verify.generate.long_batch import long_batch
from verify.oracle import kinks, narrow, samplers, tensor_float
from verify.oracle.compare import finding
from verify.oracle.noise import within_noise
from verify.oracle.primal import TRANSPARENT, inner
from verify.oracle.tolerance import (
    LOW_PRECISION_ROOM,
    WORSE_THAN_AUTODIFF,
    allowed_error,
    any_true,
    unit_roundoff,
    wrong_elements,
)
from verify.report.finding import Finding, NotRunError
from verify.running import WIDE, pullback

NAME = "low precision"
EVERY_CASE = False
NARROW_SUM = "a sum accumulated in the narrow type: give it `preferred_element_type` or `dtype` float32"


@dataclass(frozen=True)
class Level:
    """A dtype, the roundoff of its products and the precision that they are asked for in."""

    name: str
    dtype: Any
    unit: float
    onto: Callable[[np.ndarray], np.ndarray]
    products: str = "highest"


def _level(dtype: Any) -> Level:
    return Level(jnp.dtype(dtype).name, dtype, unit_roundoff(dtype), lambda a: a.astype(dtype))


HALVES = (_level(jnp.bfloat16), _level(jnp.float16))
TF32 = Level("TF32", np.float32, tensor_float.ROUNDOFF, tensor_float.rounded, "default")


def _levels(case: CallUnderTest) -> tuple[Level, ...]:
    return (*HALVES, TF32) if tensor_float.on_a_gpu() and case.tested.dtype == np.float32 else HALVES


def findings(case: CallUnderTest) -> list[Finding]:
    samplers.refuse_held(case)
    ran, why, notes = False, "", []
    longer = long_batch(case)
    for level in _levels(case):
        rounded = _rounded(longer, level)
        try:
            bars = rounded.pull(level.dtype, rounded.y_bar, products=level.products)[1]
        except NotRunError:
            raise
        except Exception as error:
            why = f"the rule does not run in {level.name} ({first_line(error)})"
            continue
        ran = True
        found = _dtypes(rounded, level.dtype, bars)
        if all(f.note for f in found):
            lost = _errors(rounded, level, bars)
            if lost and level.dtype != case.tested.dtype:
                lost = _at_own_dtype(replace(rounded, label=longer.label)) or [_noted(f, level) for f in lost]
            found += lost
        if any(not f.note for f in found):
            return found
        notes += found
    if not ran:
        raise NotRunError(why)
    return notes


def _rounded(case: CallUnderTest, level: Level) -> CallUnderTest:
    """Positive numbers that the level holds exactly, kept in the example's dtype."""
    leaves = [case.tested.leaves[k] for k in case.tested.arrays]

    def positive(a, domain):
        plain = all(d in SIGN for d in domain)
        return np.abs(a.astype(WIDE)) * min(1.0, 4 / max(1e-30, float(np.abs(a).max(initial=0)))) if plain else a

    floating = [leaf.kind in (PERTURBED, FLOAT) for leaf in leaves]
    triples = list(zip(case.arrays, leaves, floating, strict=True))
    arrays = in_order([positive(a, leaf.domain) if f else a for a, leaf, f in triples], leaves)
    arrays = [level.onto(b).astype(a.dtype) if f else b for b, (a, _, f) in zip(arrays, triples, strict=True)]
    y_bar = [level.onto(np.abs(g.astype(WIDE)) + 0.25).astype(g.dtype) for g in case.y_bar]
    label = f"{level.name}, positive numbers, {case.label}"
    return replace(case, arrays=tuple(arrays), y_bar=tuple(y_bar), label=label, example=False)


def _dtypes(case: CallUnderTest, dtype, bars) -> list[Finding]:
    """Cotangents in a wider type than their arguments'. Of a rule that is called in something wider, one that became
    so by promotion is a note: a table or a draw that is float32 unless told otherwise, such as `jax.nn.one_hot`, met
    the narrow type, which this caller never uses. One that is cast on purpose is a fault in every call."""
    wider = [k for k, bar in enumerate(bars) if bar.dtype != jnp.dtype(dtype)]
    cast = _cast(case, dtype) if wider and jnp.dtype(dtype) != case.tested.dtype else [True] * len(bars)
    # Mixed precision: a function that casts to the narrow type itself is not called in it.
    mixed = case.own_unit > unit_roundoff(case.tested.dtype) and jnp.dtype(dtype) != case.tested.dtype
    cast = [c and not mixed for c in cast]
    found = []
    for k in wider:
        text = f"the cotangent's dtype is {bars[k].dtype}, its argument's is {jnp.dtype(dtype).name}"
        text += "" if cast[k] else " (something in the rule is float32 unless told otherwise, as jax.nn.one_hot is)"
        found.append(Finding(NAME, case.names[k], None, None, None, "dtype", text, case.label, note=not cast[k]))
    return found


def _cast(case: CallUnderTest, dtype) -> list[bool]:
    """Per perturbed leaf, whether its cotangent is a narrower number cast to a wider type: nothing is done in it."""
    pull = pullback(case.tested.flat(case.tested.rule, case.options), case.perturbed)
    closed = jax.make_jaxpr(lambda arrays, y_bar: pull(arrays, y_bar)[1])(
        case.at(dtype), case.cotangent(dtype, case.y_bar)
    )
    return _casts(closed.jaxpr)


def _casts(jaxpr) -> list[bool]:
    made = {id(v): (eqn, n) for eqn in jaxpr.eqns for n, v in enumerate(eqn.outvars)}

    def cast(v) -> bool:
        if id(v) not in made:
            return False
        eqn, n = made[id(v)]
        if eqn.primitive.name in TRANSPARENT:
            return _casts(inner(eqn).jaxpr)[n]
        converted = eqn.primitive.name == "convert_element_type"
        return converted and eqn.invars[0].aval.dtype.itemsize < v.aval.dtype.itemsize

    return [cast(v) for v in jaxpr.outvars]


def _errors(case: CallUnderTest, level: Level, bars) -> list[Finding]:
    truth, found, dtype = case.truth_of_wide_sums, [], level.dtype
    ratio = level.unit / unit_roundoff(dtype)
    largest = float(jnp.finfo(dtype).max) / 4
    if not all(
        np.all(np.isfinite(c)) and np.abs(c).max(initial=0) < largest for c in [*truth.cotangents, *truth.outputs]
    ):
        return []
    autodiff = None
    if any(e.shape != g.shape for e, g in zip(truth.cotangents, bars, strict=True)):
        return []
    room = [ratio * allowed_error(m, dtype, LOW_PRECISION_ROOM) for m in truth.magnitudes]
    if dtype == case.tested.dtype:
        room = narrow.in_loops(case, truth.cotangents, room, level.unit, lambda: _at(case, level))
    wrong = [wrong_elements(e, g, a) for e, g, a in zip(truth.cotangents, bars, room, strict=True)]
    wrong = kinks.unexplained(case, dtype, bars, room, wrong, room=8 * level.unit)
    if any_true(wrong):
        wrong = [b & ~n for b, n in zip(wrong, _on_an_edge(case, level, bars), strict=True)]
    for k, (name, e, g) in enumerate(zip(case.names, truth.cotangents, bars, strict=True)):
        bad, allowed = wrong[k], room[k]
        if not bad.any():
            continue
        if autodiff is None:
            autodiff = _at(case, level)
        lost = np.abs(np.asarray(g, WIDE) - e)
        theirs = np.abs(autodiff[k] - e) if autodiff else np.zeros(1)
        if np.all(np.isfinite(theirs)) and float(lost.max()) <= WORSE_THAN_AUTODIFF * float(theirs.max()):
            continue
        lossy = f"; autodiff's worst is {theirs.max():.2g}" if np.all(np.isfinite(theirs)) else ""
        what = f"the oracle's, more than {level.name} with wide sums explains{lossy}"
        wrong_here = finding(NAME, case, name, e, g, bad, allowed, what=what)
        if not wrong_here.pattern.startswith("zero"):  # a sum that loses digits leaves something
            wrong_here = replace(wrong_here, cause=NARROW_SUM)
        found.append(wrong_here)
    return found


def _at_own_dtype(case: CallUnderTest) -> list[Finding]:
    """The faults of these numbers at the caller's dtype."""
    try:
        return [f for f in gradient.findings(case) if not f.note]
    except NotRunError:
        return []


def _noted(lost: Finding, level: Level) -> Finding:
    """What only callers in another dtype see."""
    finite = np.isfinite(lost.got)  # type: ignore[arg-type]
    text = f"it loses more digits than wide sums explain: {lost.cause}" if finite else "some elements are not finite"
    return Finding(NAME, lost.argument, None, None, None, "", f"in {level.name}, {text}", lost.case, note=True)


def _on_an_edge(case: CallUnderTest, level: Level, bars) -> list[np.ndarray]:
    """Elements that are right in float64, and for inputs a roundoff of the narrow type away: numbers of few digits are
    rounded onto kinks and steps."""
    try:
        wide, ratio = case.wide[1], case.narrowest / unit_roundoff(WIDE)
    except NotRunError:
        return [np.zeros(np.shape(b), bool) for b in bars]
    near = within_noise(case, [np.asarray(b, WIDE) for b in bars], level.dtype, unit=level.unit)
    exact = zip(case.truth.cotangents, wide, case.truth.magnitudes, strict=True)
    return [n & ~wrong_elements(e, g, allowed_error(m, WIDE) * ratio) for n, (e, g, m) in zip(near, exact, strict=True)]


def _at(case: CallUnderTest, level: Level) -> list[np.ndarray] | None:
    oracle = case.tested.oracle(case.options)
    try:
        got = case.pull(level.dtype, case.y_bar, oracle, "autodiff", products=level.products)[1]
        return [np.asarray(g, WIDE) for g in got]
    except Exception:
        return None
