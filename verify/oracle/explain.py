"""The sentence for a wrong cotangent: the evidence is gathered from the case, and what fits it best is said."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import FLOAT, INTEGER, PERTURBED, STATIC
from verify.oracle import paths, reruns, symmetric
from verify.oracle.primal import TRANSPARENT, equations, inner
from verify.report import diagnosis
from verify.report.evidence import Argument, Evidence
from verify.report.finding import Finding
from verify.running import WIDE, is_float

DIGITS = 1000  # roundoffs of the coarsest dtype within which two results count as equal
COARSEST = 1e-3  # a tolerance above it would take anything for anything
REARRANGED = ("flipped", "transpose", "shifted", "rolled")  # patterns that say it all
RUN_AGAIN = (
    reruns.another_cotangent,
    symmetric.transposed,
    reruns.carry_lost,
    reruns.of_a_size,
    paths.through_a_reduction,
)
ELEMENTS, LENGTH = 200_000, 3000  # numbers and equations up to which a call is run again to learn more


def explained(
    found: Finding, case: CallUnderTest, k: int, got: Sequence[np.ndarray], bad: np.ndarray, unit: float
) -> Finding:
    """The finding about perturbed leaf `k`, its cause the diagnosis where there is one. `unit` is the unit roundoff of
    what `got` was computed in."""
    tolerance = max(1e-6, DIGITS * unit)
    e, g = case.truth.cotangents[k], np.asarray(got[k], WIDE)
    if tolerance > COARSEST or found.pattern.startswith(REARRANGED) or not np.all(np.isfinite(e) & np.isfinite(g)):
        return found
    if float(np.abs(g - e).max()) <= 10 * tolerance * float(np.abs(e).max()):
        return found  # too close to the right answer to be told from it by what it is like
    # Whatever the rule does when it is run again, its finding stands.
    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        seen = evidence(case, k, got, bad, tolerance)
        text = diagnosis.diagnose(seen) or _again(case, k, seen) or diagnosis.at_last(seen)
        return replace(found, cause=text) if text else found
    return found


def evidence(case: CallUnderTest, k: int, got: Sequence[np.ndarray], bad: np.ndarray, tolerance: float) -> Evidence:
    """What is known about the cotangent of perturbed leaf `k`."""
    tested, truth = case.tested, case.truth
    leaves = [tested.leaves[n] for n in tested.arrays]
    others = []
    for n, (leaf, array) in enumerate(zip(leaves, case.arrays, strict=True)):
        if leaf.kind not in (PERTURBED, FLOAT) or n == case.perturbed[k]:
            continue
        mine = case.perturbed.index(n) if n in case.perturbed else None
        pair = (None, None) if mine is None else (truth.cotangents[mine], np.asarray(got[mine], WIDE))
        others.append(Argument(leaf.path, np.asarray(array, WIDE), *pair))
    return Evidence(
        name=case.names[k],
        value=np.asarray(case.arrays[case.perturbed[k]], WIDE),
        expected=truth.cotangents[k],
        got=np.asarray(got[k], WIDE),
        bad=bad,
        y_bar=tuple(np.asarray(g, WIDE) for g in case.y_bar),
        outputs=tuple(y for y in truth.outputs if is_float(y)),
        others=tuple(others),
        indices=tuple((f.path, a) for f, a in zip(leaves, case.arrays, strict=True) if f.kind == INTEGER),
        numbers=tuple((f.path, float(f.value)) for f in tested.leaves if f.kind == STATIC and _number(f.value)),
        tolerance=tolerance,
        rule=_written(case),
        devices=_devices(case),
        returned=_returned(case, k),
        example=case.example,
        reshaped=case.reshaped or bool(case.options),
    )


def _again(case: CallUnderTest, k: int, seen: Evidence) -> str:
    if sum(np.size(a) for a in case.arrays) > ELEMENTS or case.length > LENGTH:
        return ""
    for knows in RUN_AGAIN:
        with contextlib.suppress(Exception):  # a rule may refuse other numbers and sizes
            if text := knows(case, k, seen):
                return text
    return ""


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _written(case: CallUnderTest) -> str:
    """The call as code, "f" for a function without a name: for the reference to be written with."""
    name = getattr(case.tested.rule, "__name__", "")
    heads = [h if h.isidentifier() else f"a{n}" for n, h in enumerate(h or "a" for h in _heads(case))]
    return f"{name if name.isidentifier() else 'f'}({', '.join(heads)})"


def _heads(case: CallUnderTest) -> list[str]:
    """The names of the arguments."""
    return list(dict.fromkeys(leaf.path.split("[")[0].split(".")[0] for leaf in case.tested.leaves))


def _devices(case: CallUnderTest) -> tuple[int, ...]:
    """How many devices a mesh, or an axis of one, inside the function has."""
    counts: list[int] = []
    for eqn in equations(case.trace[0]):
        mesh = eqn.params.get("mesh") if eqn.primitive.name == "shard_map" else None
        if mesh is not None:
            counts += [mesh.size, *mesh.shape.values()]
        elif eqn.primitive.name == "xla_pmap":
            counts.append(eqn.params["axis_size"])
    return tuple(dict.fromkeys(c for c in counts if c > 1))


def _returned(case: CallUnderTest, k: int) -> str:
    """ "None" or "zeros" where the cotangent of leaf `k` depends on nothing: JAX writes zeros for `None`."""
    outs = _reached(case.trace[0].jaxpr, None)
    if outs[len(outs) - len(case.perturbed) + k]:
        return ""
    nones = _nones(case)
    return "None or zeros" if nones is None else "None" if case.names[k] in nones else "zeros"


def _reached(jaxpr: Any, given: Sequence[bool] | None) -> list[bool]:
    """Which outputs of a jaxpr depend on its inputs, or on those that are `given`."""
    ins = [True] * len(jaxpr.invars) if given is None else given
    reached = {id(v) for v, yes in zip(jaxpr.invars, ins, strict=True) if yes}
    for eqn in jaxpr.eqns:
        from_input = [id(v) in reached for v in eqn.invars]
        if eqn.primitive.name in TRANSPARENT:
            outs = _reached(inner(eqn).jaxpr, from_input)
        else:
            outs = [any(from_input)] * len(eqn.outvars)
        reached |= {id(v) for v, yes in zip(eqn.outvars, outs, strict=True) if yes}
    return [id(v) in reached for v in jaxpr.outvars]


def _nones(case: CallUnderTest) -> set[str] | None:
    """The leaves for which a rule that is a `custom_vjp` itself returns None; None where that cannot be seen."""
    rule = case.tested.rule
    if not isinstance(rule, jax.custom_vjp) or rule.fwd is None or rule.bwd is None:
        return None
    forward, backward = rule.fwd, rule.bwd
    leaves = iter(case.arrays)
    values = [leaf.value if leaf.kind == STATIC else next(leaves) for leaf in case.tested.leaves]
    args, kwargs = case.tested.arguments(values)
    if kwargs:
        return None
    static = tuple(rule.nondiff_argnums)
    found: list[str] = []

    def run() -> None:
        y, residuals = forward(*args)
        ones = jax.tree_util.tree_map(jnp.ones_like, y)
        bars = backward(*(args[n] for n in static), residuals, ones)
        paths = [leaf.path for leaf in case.tested.leaves]
        moving = [h for n, h in enumerate(_heads(case)) if n not in static]
        for head, given in zip(moving, bars, strict=True):
            for path, leaf in jax.tree_util.tree_flatten_with_path(given, is_leaf=lambda v: v is None)[0]:
                if leaf is None:
                    start = head + jax.tree_util.keystr(path)
                    found.extend(p for p in paths if p.startswith(start))

    try:
        jax.eval_shape(run)
    except Exception:
        return None
    return set(found)
