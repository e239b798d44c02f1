"""Which generated calls the example promises to be calls at all, though the function takes them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from verify.call_under_test import CallUnderTest
from verify.function_under_test import INTEGER
from verify.generate import blocks
from verify.generate.cut_rows import cuts_rows
from verify.generate.domain import occur_once
from verify.generate.options import SOMETIMES
from verify.oracle.primal import CALLS, TRANSPARENT, bind, equations, inner, is_call, walk
from verify.running import WIDE, finite, is_float, quickly

NOTHING = -1e4  # numbers below it stand for a score that does not count
UNKNOWN = object()  # a value that the arguments decide


def promised(case: CallUnderTest, example: CallUnderTest) -> bool:
    unlike_the_example = (_written_twice, _beyond_the_end, _reflected_whole, _masked_whole, _indexed_beyond)
    unlike_the_example += (_read_beyond, _cut_across, blocks.left_unread)
    return not (
        any(refuses(case, example) for refuses in unlike_the_example) or blocks.left_unwritten(case) or _no_number(case)
    )


def _no_number(case: CallUnderTest) -> bool:
    """Whether an option that may be a number or an array by its name is a number here, with which the rule cannot be
    differentiated."""
    if not any(name in SOMETIMES and case.tested.options[name].default is None for name in case.options):
        return False
    try:
        return not case.trace
    except Exception:  # a cotangent has the array's shape, say
        return True


def _written_twice(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether more rows are written than there are, where the example writes each once: which one stays has no rule."""
    if "scatter" not in case.tested.primitives:
        return False
    labels = [n for n, k in enumerate(case.tested.arrays) if case.tested.leaves[k].kind == INTEGER]
    several = [n for n in labels if example.arrays[n].shape[-1:] > (1,)]
    return any(occur_once(example.arrays[n]) and not occur_once(case.arrays[n]) for n in several)


def _indexed_beyond(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether an axis is too short for integers that the function holds, unlike in the example: labels, as they may be,
    of more classes than there are."""
    try:
        held = [np.asarray(c) for c in _constants(example.trace[0]) if np.issubdtype(c.dtype, np.integer)]
    except Exception:  # it cannot be traced, which `contract` says
        return False
    most = {int(c.max()) for c in held if c.size > 1 and c.min() >= 0}
    sizes = [[size for a in c.arrays for size in np.shape(a)] for c in (example, case)]
    return any(new <= index < old for index in most for old, new in zip(*sizes, strict=True))


def _constants(closed: Any) -> Iterator[Any]:
    """The arrays that a program holds, at any depth."""
    yield from closed.consts
    for eqn in closed.jaxpr.eqns:
        yield from (v.val for v in eqn.invars if isinstance(v, core.Literal) and np.ndim(v.val))
        for value in eqn.params.values():
            if isinstance(value, core.ClosedJaxpr):
                yield from _constants(value)


def _beyond_the_end(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether an integer is beyond the end of all that rows are added to, unlike in the example: more segments than the
    function has, say. JAX drops what is added there, and reads the last row in its place."""
    return _dropped(case) and not _dropped(example)


def _dropped(case: CallUnderTest) -> bool:
    labels = [n for n, k in enumerate(case.tested.arrays) if case.tested.leaves[k].kind == INTEGER]
    largest = max((int(np.max(case.arrays[n], initial=0)) for n in labels), default=0)
    try:
        added = [e.invars[0].aval.shape for e in equations(case.trace[0]) if e.primitive.name.startswith("scatter")]
    except Exception:  # it cannot be traced, which `contract` says
        return False
    return any(max(shape, default=largest + 1) <= largest for shape in added)


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


def _masked_whole(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether a mask that the function makes of positions alone leaves a whole row nothing, unlike in the example: with
    more queries than keys a causal mask does that to some of them, whose softmax has no value. Where scores of -inf
    leave the function its numbers all the same, it is written for such rows."""
    found = [score for score in _left_nothing(case) if score]
    if not found or any(_left_nothing(example)):
        return False
    return max(found) > -np.inf or not _has_numbers(case)


def _has_numbers(case: CallUnderTest) -> bool:
    try:
        return finite((case.truth.outputs, case.truth.cotangents))
    except Exception:  # it has no derivative there
        return False


def _left_nothing(case: CallUnderTest) -> list[float]:
    """The score of each mask that leaves a whole row nothing, 0 of the others."""

    def masks(eqn, known):
        number = eqn.outvars[0].aval.ndim > 1 and is_float(eqn.outvars[0].aval)
        return number and known[0] and any(known[1:])

    try:
        return [_score_of_an_empty_row(eqn, values) for eqn, values in _by_positions(case.trace[0], "select_n", masks)]
    except Exception:  # it cannot be traced, which `contract` says
        return []


def _cut_across(case: CallUnderTest, example: CallUnderTest) -> bool:
    return cuts_rows(example, [a.shape for a in case.arrays], case.options)


def _read_beyond(case: CallUnderTest, example: CallUnderTest) -> bool:
    """Whether an axis is too short for a position that the function names, as `p[2]` does, unlike in the example."""
    try:
        if "dynamic_slice" not in {e.primitive.name for e in equations(case.trace[0])}:  # a name within is a `slice`
            return False
    except Exception:  # the rule may fail where the function does not
        pass
    return reads_beyond(case, case.arrays) and not reads_beyond(example, example.arrays)


def reads_beyond(case: CallUnderTest, arrays: Sequence[Any]) -> bool:
    """Whether the function reads past the end of arrays of these shapes by positions of its own, as the diagonal of a
    matrix with more rows than columns: JAX reads the last entry in its place, and no derivative was promised."""
    try:
        closed = jax.make_jaxpr(case.tested.oracle(case.options))(*arrays)
        named = lambda _, known: all(known[1:])  # noqa: E731
        reads = [r for p in ("gather", "dynamic_slice") for r in _by_positions(closed, p, named)]
    except Exception:  # it cannot be traced, which `contract` says
        return False
    return any(_past_the_end(eqn, values[1:]) for eqn, values in reads)


def _past_the_end(eqn: Any, starts: Sequence[np.ndarray]) -> bool:
    operand, sizes = eqn.invars[0].aval.shape, eqn.params["slice_sizes"]
    if eqn.primitive.name == "dynamic_slice":
        return any(int(start) > size - part for start, size, part in zip(starts, operand, sizes, strict=True))
    dims = eqn.params["dimension_numbers"].start_index_map
    return bool(starts[0].size) and bool(np.any(starts[0] > np.array([operand[d] - sizes[d] for d in dims])))


def _by_positions(closed: Any, primitive: str, wanted: Callable) -> list[tuple[Any, list[Any]]]:
    """The equations of a primitive that are `wanted(equation, which operands no argument decides)`, each with its
    operands' values, UNKNOWN where an argument decides them."""
    if not any(e.primitive.name == primitive for e in equations(closed)):
        return []
    found: list[tuple[Any, list[bool]]] = []

    def run():  # in one program: each operation by itself takes as long to compile
        values: list[Any] = []

        def seen(eqn, operands):
            known = [v is not UNKNOWN for v in operands]
            if eqn.primitive.name == primitive and wanted(eqn, known):
                found.append((eqn, known))
                values.append([v for v in operands if v is not UNKNOWN])

        _walk_known(closed, [UNKNOWN] * len(closed.in_avals), seen)
        return values

    jitted: Any = quickly(run)
    program = jitted.trace()
    values = jax.device_get(program.lower().compile()()) if found else []
    filled = (iter(of_one) for of_one in values)
    return [(eqn, [next(v) if k else UNKNOWN for k in known]) for (eqn, known), v in zip(found, filled, strict=True)]


def _walk_known(closed: Any, args: Sequence[Any], seen: Callable[[Any, list[Any]], None]) -> list[Any]:
    """The values in a program that no argument decides; every equation is `seen` with those of its operands."""

    def equation(eqn, values):
        seen(eqn, values)
        if eqn.primitive.name in TRANSPARENT:
            return _walk_known(inner(eqn), values, seen)
        if any(v is UNKNOWN for v in values) or eqn.primitive.name in ("scan", "while", "cond") or is_call(eqn, CALLS):
            return [UNKNOWN] * len(eqn.outvars)
        return bind(eqn, values, eqn.params)

    return walk(closed, args, equation)


def _score_of_an_empty_row(eqn: Any, values: Sequence[Any]) -> float:
    """The largest score in a row of which the mask takes all from numbers below all scores; 0 where there is none."""
    shape = eqn.outvars[0].aval.shape
    which, *scores = [v if v is UNKNOWN else np.broadcast_to(v, shape) for v in values]
    taken = np.full(shape, np.nan)
    for n, value in enumerate(scores):
        if value is not UNKNOWN:
            value = value.astype(WIDE)
            taken = np.where((which == n) & (value <= NOTHING), value, taken)
    rows = taken.max(-1)
    return float(rows[~np.isnan(rows)].max()) if np.any(~np.isnan(rows)) else 0.0
