"""A hijax primitive's methods under calls that ordinary ones do not make.

JAX hands `jvp` and `linearized` a symbolic `hijax.Zero` for an argument without tangent, and `vjp_bwd` one for an
output without cotangent: the answer must be that of a zero array. `batch` may answer any axis, as long as it says
which: asked here over the first and the second axis, over unequal ones, and over one argument alone. `remat` is called
only where `jax_remat3` is on.
A `custom_vjp` or `custom_jvp` with `symbolic_zeros=True` is told the same, and asked the same of one argument or output
alone.
What the full call gives is the truth: the other checks have looked at it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import FLOAT, PERTURBED, FunctionUnderTest, first_line
from verify.generate.domain import scale_of
from verify.oracle.compare import differences
from verify.oracle.instances import INSTANCE, SYMBOLIC_ZEROS, UNWRITTEN, method_in
from verify.oracle.tolerance import ROOM, largest, unit_roundoff
from verify.report.finding import Finding, NotRunError
from verify.running import OWN, WIDE, call, is_float, linearized, pullback, pushforward, quickly
from verify.settings import setting

NAME = "methods"
EVERY_CASE = False
MOST = 3  # arguments and outputs looked at one by one
ROWS, SMALLER = 5, 64  # of a batch, and a part by which the numbers of a row are less than those of the one before
REMAT = "jax_remat3"
OF_ZEROS = "what the rule answers to a symbolic zero (symbolic_zeros=True) is not what it answers to zeros"

# (the method looked at, what was done, function, its arguments, what it must return, names of that)
Run = tuple[str, str, Callable, list, list[np.ndarray], list[str]]


def applies(tested: FunctionUnderTest) -> bool:
    """Of hijax primitives, not of those that JAX makes of a custom_vjp, and of rules with symbolic zeros."""
    return bool({INSTANCE, SYMBOLIC_ZEROS} & tested.primitives)


def findings(case: CallUnderTest) -> list[Finding]:
    try:
        level, (outs, bars), unit = WIDE, case.wide, case.narrowest
    except NotRunError:
        level, (outs, bars), unit = OWN, case.own, unit_roundoff(case.tested.dtype)
    flat = case.tested.flat(case.tested.rule, case.options)
    found: list[Finding] = []
    parts = [_one_argument(case, level, flat, bars), _one_output(case, level, flat, outs)]
    if INSTANCE in case.tested.primitives:
        parts += [_batched(case, level, flat), _recomputed(case, level, flat, outs, bars)]
    for runs in parts:
        for run in runs:
            found += _compared(case, level, unit, run)
            if found:
                return found
    return []


def _compared(case: CallUnderTest, level: Any, unit: float, run: Run) -> list[Finding]:
    method, text, fun, inputs, expected, names = run
    try:
        with setting(REMAT, True) if method == "remat" else setting("", None):
            got = [np.asarray(a) for a in call(quickly(fun), level, *inputs)]
    except NotRunError:
        raise
    except Exception as error:
        if UNWRITTEN in str(error) or "forward-mode autodiff" in str(error):
            return []  # pushforward and transforms say so
        message = f"{text} it raises {first_line(error)}"
        return [Finding(NAME, method_in(error) or method, None, None, None, "raises", message, case.label)]
    expected, got = _without_nan(expected, got)
    size = max((largest(e) for e in expected if is_float(e)), default=0.0)
    what = f"the full call's, {text}"
    sums = [np.full(e.shape, (1 + np.sqrt(e.size)) * size) for e in expected]
    allowed = [4 * ROOM * unit * s + 1e-300 for s in sums]
    # Another method may go by another formula, whose constants have as many digits as the dtype.
    beyond = [case.own_unit * s for s in sums]
    primitive = INSTANCE in case.tested.primitives
    names = [method] * len(names) if primitive else names
    found = differences(NAME, case, expected, got, allowed, names=names, what=what, beyond=beyond)[:1]
    return found if primitive else [replace(f, cause=OF_ZEROS) for f in found]


def _without_nan(expected: list[np.ndarray], got: list[np.ndarray]) -> tuple[list, list]:
    """Where the full call has no number, as at a singular matrix or for an infinite argument times a tangent of zeros,
    any number will do."""
    nan = [
        np.isnan(e) if is_float(e) and e.shape == g.shape else np.zeros((), bool)
        for e, g in zip(expected, got, strict=True)
    ]
    kept = [
        [np.where(n, 0, a).astype(a.dtype) if n.any() else a for a, n in zip(side, nan, strict=True)]
        for side in (expected, got)
    ]
    return kept[0], kept[1]


def _one_argument(case: CallUnderTest, level: Any, flat: Callable, bars: list[np.ndarray]) -> Iterator[Run]:
    """Forward and reverse mode along one argument, the others without tangent."""
    kinds = [case.tested.leaves[k].kind for k in case.tested.arrays]
    if sum(kind in (PERTURBED, FLOAT) for kind in kinds) < 2:
        return
    arrays, rng = case.at(level), np.random.default_rng((case.seed, 21))
    y_bar = case.cotangent(level, case.y_bar)
    for k, n in list(enumerate(case.perturbed))[:MOST]:
        tangents = [np.zeros_like(arrays[m]) for m in case.perturbed]
        tangents[k] = np.asarray(rng.standard_normal(arrays[n].shape)).astype(arrays[n].dtype)
        for methods, forward in (("jvp", pushforward), ("linearized", linearized)):
            text = f"under jax.{methods.replace('linearized', 'linearize')} along {case.names[k]} alone"
            full = _joined(forward(flat, case.perturbed))
            try:
                dense = [np.asarray(a) for a in call(quickly(full), level, arrays, tangents)]
            except Exception:  # pushforward's business
                continue
            count = len(dense) // 2
            places = [f" {m}" if count > 1 else "" for m in range(count)]
            names = [f"{what}{place}" for what in ("output", "tangent of output") for place in places]
            yield methods, text, _joined(forward(flat, [n])), [arrays, [tangents[k]]], dense, names
        alone = pullback(flat, [n])
        name, text = case.names[k], f"differentiated by {case.names[k]} alone"
        yield "vjp_bwd", text, lambda a, g, alone=alone: alone(a, g)[1], [arrays, y_bar], [bars[k]], [name]


def _one_output(case: CallUnderTest, level: Any, flat: Callable, outs: list[np.ndarray]) -> Iterator[Run]:
    """Reverse mode where one output alone is used."""
    floats = [k for k, o in enumerate(outs) if is_float(o)]
    if len(outs) < 2:
        return
    arrays, y_bar = case.at(level), case.cotangent(level, case.y_bar)
    for n, k in list(enumerate(floats))[:MOST]:
        dense = [g if m == n else np.zeros_like(g) for m, g in enumerate(y_bar)]
        alone = pullback(lambda *a, k=k: [flat(*a)[k]], case.perturbed)
        text = f"where output {k} alone is used"
        bars = case.pull(level, dense)[1]
        run = lambda a, g, alone=alone: alone(a, g)[1]  # noqa: E731
        yield "vjp_bwd", text, run, [arrays, [y_bar[n]]], bars, case.names


def _batched(case: CallUnderTest, level: Any, flat: Callable) -> Iterator[Run]:
    """`vmap` over axis 0 and 1 of all arguments, over unequal axes, and over one argument alone."""
    arrays = case.at(level)
    moving = [k for k, a in enumerate(arrays) if isinstance(a, np.ndarray)]
    floats = [k for k in moving if is_float(arrays[k])]
    deep = [k for k in moving if arrays[k].ndim]
    plans = [("axis 0", dict.fromkeys(moving, 0), 0), ("axis 1", dict.fromkeys(deep, 1), 1)]
    if len(moving) > 1:
        names = {k: case.tested.leaves[case.tested.arrays[k]].path for k in moving}
        unequal = {k: n % 2 for n, k in enumerate(deep)}
        text = " and ".join(f"axis {axis} of {names[k]}" for k, axis in unequal.items())
        plans += [(text, unequal, 0)] if len(deep) > 1 else []
        plans += [(f"{names[k]} alone", {k: 0}, 0) for k in floats[:MOST]]
        plans += [(f"axis 1 of {names[k]} alone", {k: 1}, 1) for k in floats[:MOST] if arrays[k].ndim]
    plain = quickly(lambda a: flat(*a))
    for text, which, out_axis in plans:
        rows = [[_rolled(case, k, a, r) if k in which else a for k, a in enumerate(arrays)] for r in range(ROWS)]
        values = [[np.asarray(o) for o in call(plain, level, row)] for row in rows]
        if not which or any(o.ndim < out_axis for o in values[0]):
            continue
        expected = [np.stack(o, out_axis) for o in zip(*values, strict=True)]
        inputs = [np.stack([row[k] for row in rows], which[k]) if k in which else a for k, a in enumerate(arrays)]
        axes = [which.get(k) for k in range(len(arrays))]
        fun = lambda a, axes=axes, out=out_axis: jax.vmap(flat, axes, out)(*a)  # noqa: E731
        yield "batch", f"vmap over {text}", fun, [inputs], expected, [""] * len(expected)


def _rolled(case: CallUnderTest, n: int, array: np.ndarray, by: int) -> np.ndarray:
    """The numbers at other places and a little smaller, as a sum does not see where they are, in the domain of the
    example's; integers and masks along the last axis. Those in order stay in order."""
    if is_float(array):
        rolled, rng = np.roll(array, by) * (1 - by / SMALLER), np.random.default_rng((case.seed, 22, by))
        for domain in case.tested.leaves[case.tested.arrays[n]].domain if by else ():
            rolled = domain.onto(rng, rolled, scale_of(array))
        return np.asarray(rolled).astype(array.dtype)
    ordered = array.ndim == 0 or (array.dtype != bool and np.all(np.diff(array, axis=-1) >= 0))
    return array if ordered else np.roll(array, by, -1)


def _recomputed(case: CallUnderTest, level: Any, flat: Callable, outs: list, bars: list) -> Iterator[Run]:
    """The pullback under `jax.checkpoint`, as `jax_remat3` has it."""
    if REMAT not in jax.config.values:
        return
    arrays, y_bar = case.at(level), case.cotangent(level, case.y_bar)
    # JAX 0.11 asks for the flag where a function is wrapped, JAX 0.12 where it is called: both happen at the call.
    run = _joined(pullback(lambda *args: jax.checkpoint(flat)(*args), case.perturbed))
    expected = [*outs, *bars]
    yield "remat", f"under jax.checkpoint with {REMAT}", run, [arrays, y_bar], expected, [""] * len(expected)


def _joined(run: Callable) -> Callable:
    """What `run` returns in two parts, as one list."""

    def joined(*inputs):
        first, second = run(*inputs)
        return [*first, *second]

    return joined
