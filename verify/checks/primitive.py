"""A hijax primitive as an object: equality, `transpose` and `dce`.

Two primitives that compare equal and yet differ are looked for among the instances of other options. `transpose` must
be the transpose of `expand`, which JAX asks of arguments in which it is linear; what `dce` leaves must compute the
same.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.interpreters import partial_eval

from verify.call_under_test import CallUnderTest
from verify.function_under_test import FunctionUnderTest, first_line
from verify.generate.options import option_values
from verify.oracle.compare import differences
from verify.oracle.instances import INSTANCE, METHODS, constructions, used, written
from verify.oracle.tolerance import ROOM, unit_roundoff
from verify.program.equality import changed, unequal
from verify.report.finding import Finding, NotRunError
from verify.running import WIDE, is_float, of_perturbed, widened

NAME = "primitive"
EVERY_CASE = False
MOST = 3  # instances of one class, and options, looked at


def applies(tested: FunctionUnderTest) -> bool:
    """Of hijax primitives only, not of those that JAX makes of a custom_vjp."""
    return INSTANCE in tested.primitives


def findings(case: CallUnderTest) -> list[Finding]:
    with widened(WIDE), jax.default_matmul_precision("highest"):
        calls, made = _instances(case, dict(case.options))
        if not calls:
            raise NotRunError("the primitive is called only inside loops or branches")
        firsts = {type(p): (p, values) for p, values in reversed(calls)}
        found = [f for p, _ in firsts.values() for f in _of_params(case, p)]
        for p, _ in firsts.values():
            found += unequal(NAME, case.label, [p, *_relatives(case, p, calls, made)])
        for p, values in firsts.values():
            found += _transposed(case, p, values) + _pruned(case, p, values)
    return found or _unwritten(case, [p for p, _ in firsts.values()])


def _instances(case: CallUnderTest, options: dict[str, Any]) -> tuple[list, dict[type, list]]:
    """The primitives that the rule calls, with their operands, and the arguments that they were made from."""
    arrays = [np.asarray(a) if isinstance(a, np.ndarray) else a for a in case.at(WIDE)]
    flat = case.tested.flat(case.tested.rule, options)
    calls = used(jax.make_jaxpr(flat)(*arrays), arrays)
    made = {}
    with contextlib.ExitStack() as stack:
        for kind in {type(p) for p, _ in calls}:
            made[kind] = stack.enter_context(constructions(kind))
        jax.make_jaxpr(lambda *a: flat(*a))(*arrays)
    return calls, {kind: list(seen) for kind, seen in made.items()}


def _of_params(case: CallUnderTest, prim: Any) -> list[Finding]:
    name, found = type(prim).__name__, []
    try:
        hash(prim)
    except TypeError as error:
        text = f"params of {name} cannot be hashed, so that jit refuses it: {first_line(error)}"
        found.append(Finding(NAME, "params", None, None, None, "equality", text, case.label))
    taken = [k for k in prim.params if k in METHODS]
    if taken:
        text = f"{name} has a parameter named like its method {taken[0]}, which it overwrites"
        found.append(Finding(NAME, "params", None, None, None, "equality", text, case.label))
    return found


def _relatives(case: CallUnderTest, prim: Any, calls: list, made: dict[type, list]) -> Iterator[Any]:
    """Instances of the class for the same types and other static values: of this very call, of other options, and of
    other arguments to the constructor."""
    yield from [p for p, _ in calls if type(p) is type(prim) and p is not prim][:MOST]
    for name, values in option_values(case).items():
        for value in values[:MOST]:
            with contextlib.suppress(Exception):
                others, _ = _instances(case, {**case.options, name: value})
                yield from [p for p, _ in others if type(p) is type(prim)]
    for args, kwargs in made.get(type(prim), [])[:1]:
        for given in changed(args, kwargs):
            with contextlib.suppress(Exception):
                yield type(prim)(*given[0], **given[1])


def _transposed(case: CallUnderTest, prim: Any, values: list) -> list[Finding]:
    """`transpose` by every argument in which `expand` is linear, or by all at once."""
    if not written(prim, "transpose"):
        return []
    floats = [k for k, v in enumerate(values) if is_float(v)]
    groups = [floats] if _linear(prim, values, floats) else [[k] for k in floats if _linear(prim, values, [k])]
    raised = []
    for group in groups:
        given = [jnp.asarray(values[k]) for k in group]
        expanded, bound = (of_perturbed(fun, values, group) for fun in (_expanded(prim), _bound(prim)))
        y, back = jax.vjp(expanded, *given)
        rng = np.random.default_rng((case.seed, 22))
        bars = [jnp.asarray(rng.standard_normal(o.shape), o.dtype) for o in y]
        expected = [np.asarray(b) for b in back(bars)]
        try:
            got = [np.asarray(b) for b in jax.linear_transpose(bound, *given)(bars)]
        except Exception as error:
            raised.append(f"by argument {', '.join(map(str, group))} it raises {first_line(error)}")
            continue
        found = _differences(case, "transpose", expected, got)
        if found:
            return found
    # A product of two arguments may have its transpose by one of them alone.
    if raised and len(raised) == len(groups):
        return [Finding(NAME, "transpose", None, None, None, "raises", raised[0], case.label)]
    return []


def _linear(prim: Any, values: list, group: list[int]) -> bool:
    given = [jnp.asarray(values[k]) for k in group]
    fun, other = of_perturbed(_expanded(prim), values, group), [jnp.flip(g) + 1 for g in given]
    first, second, both = fun(*given), fun(*other), fun(*[a + b for a, b in zip(given, other, strict=True)])
    size = max(float(jnp.abs(y).max(initial=0)) for y in both)
    return all(bool(jnp.all(jnp.abs(c - a - b) <= 1e-5 * size)) for a, b, c in zip(first, second, both, strict=True))


def _pruned(case: CallUnderTest, prim: Any, values: list) -> list[Finding]:
    """What is left where one output alone is used."""
    if not written(prim, "dce"):
        return []
    closed = jax.make_jaxpr(_bound(prim))(*values)
    truth = [np.asarray(o) for o in _expanded(prim)(*values)]
    for k in range(len(truth)):
        try:
            left, used_ins = partial_eval.dce_jaxpr(closed.jaxpr, [k == n for n in range(len(truth))])
            kept = [v for v, u in zip(values, used_ins, strict=True) if u]
            got = [np.asarray(o) for o in core.jaxpr_as_fun(core.ClosedJaxpr(left, closed.consts))(*kept)]
        except Exception as error:
            text = f"where output {k} alone is used it raises {first_line(error)}"
            return [Finding(NAME, "dce", None, None, None, "raises", text, case.label)]
        found = _differences(case, "dce", [truth[k]], got)
        if found:
            return found
    return []


def _differences(case: CallUnderTest, method: str, expected: list[np.ndarray], got: list[np.ndarray]) -> list[Finding]:
    size = max((float(np.abs(e).max(initial=0)) for e in expected), default=0.0)
    unit = max(unit_roundoff(e.dtype) for e in expected if is_float(e)) if any(map(is_float, expected)) else 0.0
    allowed = [np.full(e.shape, 4 * ROOM * unit * (1 + np.sqrt(e.size)) * size) for e in expected]
    what = f"what expand gives, the method {method}"
    return differences(NAME, case, expected, got, allowed, names=[method] * len(expected), what=what)


def _expanded(prim: Any):
    return lambda *leaves: jax.tree_util.tree_leaves(prim.expand(*prim.in_tree.unflatten(leaves)))


def _bound(prim: Any):
    return lambda *leaves: jax.tree_util.tree_leaves(prim(*prim.in_tree.unflatten(leaves)))


def _unwritten(case: CallUnderTest, prims: list[Any]) -> list[Finding]:
    missing = [m for m in ("transpose", "remat", "dce") if not any(written(p, m) for p in prims)]
    if not missing:
        return []
    text = f"not written, so not checked: {', '.join(missing)}"
    return [Finding(NAME, "the primitive", None, None, None, "", text, case.label, note=True)]
