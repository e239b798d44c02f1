"""JAX's transformations must commute with the rule.

The derivative of a function applied to each row is the derivative applied to each row; compiled or not, recomputed or
kept, in a loop or at once, the numbers are the same. A rule fails here if it counts on concrete values, on the rank or
the leading axis of its arguments, or on residuals that do not batch. Compared: values and cotangents, eager, `vmap` of
the pullback, the pullback of `vmap`, `vmap` over one argument alone (mixed `in_axes`), `lax.map` inside and outside,
`remat`, and `jit` of the rule behind a product (`fused`).
"""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.checks import fused
from verify.checks.contract import cause_of
from verify.function_under_test import FLOAT, KEY, PERTURBED, first_line
from verify.generate.domain import INCREASING
from verify.oracle.compare import differences
from verify.oracle.instances import UNWRITTEN
from verify.oracle.noise import loop_noise
from verify.oracle.tolerance import ROOM, allowed_error, largest, unit_roundoff
from verify.report.finding import Finding, NotRunError
from verify.running import OWN, WIDE, call, in_words, is_float, pullback, quickly, traced
from verify.settings import unoptimised

NAME = "transforms"
EVERY_CASE = False
BOTH_ORDERS = ("vmap of its pullback", "the pullback of its vmap")  # mostly one program
Build = Callable[[Callable], Callable]  # a flat function to a program of arrays and cotangents


def findings(case: CallUnderTest) -> list[Finding]:
    try:
        level, first = WIDE, _joined(*case.wide)
    except NotRunError:
        level, first = OWN, _joined(*case.own)
    flat = case.tested.flat(case.tested.rule, case.options)
    arrays, y_bar = case.at(level), case.cotangent(level, case.y_bar)
    other, other_bar = _other(case, arrays), [-g[::-1] if g.ndim else -g for g in y_bar]
    second = _joined(*case.moved(other).pull(level, other_bar))
    both = [np.stack([a, b]) for a, b in zip(first, second, strict=True)]
    bars2 = [np.stack([a, b]) for a, b in zip(y_bar, other_bar, strict=True)]
    axes = [None if case.tested.leaves[k].kind == KEY else 0 for k in case.tested.arrays]
    pairs = [a if axis is None else np.stack([a, b]) for a, b, axis in zip(arrays, other, axes, strict=True)]
    one, two, of = [arrays, y_bar], [pairs, bars2], case.perturbed
    runs: list[tuple[str, Build, list, list[np.ndarray]]] = [
        ("eager, not under jit", lambda f: _all(pullback(f, of)), one, first),
        (BOTH_ORDERS[0], lambda f: jax.vmap(_all(pullback(f, of)), (axes, 0)), two, both),
        (BOTH_ORDERS[1], lambda f: _all(pullback(jax.vmap(f, axes), of)), two, both),
        ("lax.map of its pullback", lambda f: _mapped(pullback(f, of), axes), two, both),
        ("the pullback of its scan", lambda f: _of_scan(f, of, axes), two, both),
        ("remat", lambda f: _all(pullback(jax.checkpoint(f), of)), one, first),
    ]
    for n in case.perturbed[:2]:
        mixed = [0 if m == n else None for m in range(len(arrays))]
        moved = list(arrays)
        moved[n] = other[n]
        third = _joined(*case.moved(moved).pull(level, y_bar))
        expected = [np.stack([a, b]) for a, b in zip(first, third, strict=True)]
        inputs = [pairs[m] if m == n else a for m, a in enumerate(arrays)]
        name = f"vmap over {case.names[case.perturbed.index(n)]} alone"
        build: Build = lambda f, mixed=mixed: jax.vmap(_all(pullback(f, of)), (mixed, None))  # noqa: E731
        runs.append((name, build, [inputs, y_bar], expected))
    seen: set[tuple] = set()
    notes: list[Finding] = []
    for name, build, inputs, expected in runs:
        try:
            found = _compared(case, level, name, build(flat), inputs, expected, seen)
        except NotRunError:
            raise
        except Exception as error:
            found = [_raised(case, level, name, build, inputs, error)]
        if any(not f.note for f in found):
            return found
        notes += found
    behind = fused.findings(case)
    return behind if any(not f.note for f in behind) else [*notes[:1], *behind]


def _compared(
    case: CallUnderTest, level, name: str, fun: Callable, inputs: list, expected: list[np.ndarray], seen: set[tuple]
) -> list[Finding]:
    if name.startswith("eager"):
        with unoptimised():  # as arrays of JAX's, which a backward rule gets from `jax.grad`
            results = call(lambda *args: fun(*jax.tree.map(jnp.asarray, args)), level, *inputs)
    else:
        run = quickly(fun)
        if name in BOTH_ORDERS:
            program = in_words(traced(run, level, *inputs))
            if program in seen:
                return []
            seen.add(program)
        results = call(run, level, *inputs)
    got = [np.asarray(b) for b in results]
    unit = case.narrowest if level is WIDE else case.own_unit
    allowed = [_room(case, k, e, unit) for k, e in enumerate(expected)]
    # A primitive's own rule for `vmap`, or a loop in float32, may leave the rule for a formula of other constants.
    beyond = [_room(case, k, e, case.own_unit) / (2 * ROOM) for k, e in enumerate(expected)]

    def not_both_nan(bad: list[np.ndarray]) -> list[np.ndarray]:
        nan = [[np.isnan(np.asarray(a, np.float64)) for a in arrays] for arrays in (expected, got)]
        both = [e & g for e, g in zip(*nan, strict=True)]
        return [b & ~n for b, n in zip(bad, both, strict=True)]

    what = "a plain call's"
    count = len(expected) - len(case.names)
    names = [*(f"output {k}" if count > 1 else "output" for k in range(count)), *case.names]
    found = differences(
        NAME, case, expected, got, allowed, names=names, what=what, unexplained=not_both_nan, beyond=beyond
    )
    return [_said(f, f"{case.label}, {name}") for f in found]


def _raised(case: CallUnderTest, level, name: str, build: Build, inputs: list, error: Exception) -> Finding:
    """A note where a hijax primitive says that it has no such rule, where the function raises the same without its rule
    (a primitive that JAX does not batch), or where a key must be a constant, as `nondiff_argnums` ask."""
    text, label = first_line(error), f"{case.label}, {name}"
    if isinstance(error, NotImplementedError) and UNWRITTEN in str(error):
        text = f"{text.partition(': ')[2]}: {name} is refused"
        return Finding(NAME, "the rule", None, None, None, "", text, case.label, note=True)
    text = f"under {name} the rule raises {text}"
    rule = case.tested.flat(case.tested.rule, case.options)
    keys = [n for n, k in enumerate(case.tested.arrays) if case.tested.leaves[k].kind == KEY]

    def of_its_key(*arrays):
        return rule(*[case.arrays[n] if n in keys else a for n, a in enumerate(arrays)])

    where = ""
    as_called = [
        [np.asarray(a).astype(o.dtype) if is_float(o) else a for a, o in zip(given, own, strict=True)]
        for given, own in zip(inputs, (case.arrays, case.y_bar), strict=True)
    ]
    if level is WIDE and _error_of(build(rule), OWN, as_called) is None:
        where = ", in float64 alone"  # a callback, for instance, that answers in float32
    elif _error_of(build(case.tested.oracle(case.options)), level, inputs) is type(error):
        where = ", and so does the function without it"
    elif keys and None in (_error_of(build(of_its_key), *run) for run in ((level, inputs), (OWN, as_called))):
        where = ", unless its key is a constant"
    if where:
        return Finding(NAME, "the rule", None, None, None, "", text + where, label, note=True)
    return Finding(NAME, "the backward rule", None, None, None, "raises", text, label, cause_of(error))


def _error_of(fun: Callable, level, inputs: list) -> type[Exception] | None:
    try:
        call(quickly(fun), level, *inputs)
    except Exception as error:
        return type(error)
    return None


def _said(found: Finding, label: str) -> Finding:
    return replace(found, case=label)


def _room(case: CallUnderTest, k: int, expected: np.ndarray, unit: float) -> np.ndarray:
    """Another program may sum in another order: the oracle's magnitude, or the largest element where there is none."""
    size = largest(expected)
    # A loop that stops by its own tolerance takes another number of steps in a batch.
    noise = loop_noise(case)
    floor = max(4 * unit_roundoff(case.tested.dtype), noise) * size if noise else 0.0
    try:
        truth = case.truth
        outputs = [m for m, y in zip(truth.output_magnitudes, truth.outputs, strict=True) if is_float(y)]
        bound = [*outputs, *truth.magnitudes][k].max(initial=0)
        if not np.isfinite(bound):
            raise NotRunError("the error analysis has no bound")
        # An argument that wins no maximum in the example may win one in the other rows of a batch.
        magnitude = np.broadcast_to(max(bound, size), expected.shape)
        return 2 * allowed_error(magnitude, WIDE) * unit / unit_roundoff(WIDE) + floor
    except NotRunError:
        return np.full(expected.shape, ROOM * unit * np.sqrt(expected.size) * size + floor)


def _other(case: CallUnderTest, arrays: list) -> list:
    """A second example: the same numbers in another order, so that domains and spacings stay as they were."""
    leaves = [case.tested.leaves[k] for k in case.tested.arrays]

    def other(a, domain):
        if any(d.words in ("lower triangular", "upper triangular") for d in domain) or (
            INCREASING in domain and a.ndim == 1
        ):
            return a / 2
        both = any(d.words in ("positive definite", "symmetric", "antisymmetric") for d in domain)
        return np.ascontiguousarray(np.flip(a, (-1, -2) if both else 0))

    return [
        other(a, leaf.domain) if leaf.kind in (PERTURBED, FLOAT) and a.ndim else a
        for a, leaf in zip(arrays, leaves, strict=True)
    ]


def _joined(outs, bars) -> list:
    """The floating outputs and the cotangents as one list."""
    return [*(o for o in outs if is_float(o)), *bars]


def _all(pull: Callable) -> Callable:
    return lambda arrays, y_bar: _joined(*pull(arrays, y_bar))


def _mapped(pull: Callable, axes: list) -> Callable:
    def run(arrays, y_bar):
        moving = [a for a, axis in zip(arrays, axes, strict=True) if axis == 0]
        return jax.lax.map(lambda t: _joined(*pull(_row(arrays, axes, t[0]), t[1])), (moving, y_bar))

    return run


def _of_scan(flat: Callable, perturbed: list[int], axes: list) -> Callable:
    def looped(*arrays):
        moving = [a for a, axis in zip(arrays, axes, strict=True) if axis == 0]
        return jax.lax.map(lambda t: flat(*_row(arrays, axes, t)), moving)

    return _all(pullback(looped, perturbed))


def _row(arrays, axes, moving):
    rest = iter(moving)
    return [next(rest) if axis == 0 else a for a, axis in zip(arrays, axes, strict=True)]
