"""Hijax primitives that JAX takes for one another.

Two are one to JAX where class and `params` are equal: `jit`, `lax.switch` and `checkpoint` then use the first one's
program for both. What a primitive's program depends on must therefore be in `params`.
"""

import contextlib
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.function_under_test import first_line
from verify.oracle.instances import kept_beside
from verify.program.identity import is_array, key_of
from verify.report.finding import Finding


def changed(args: tuple, kwargs: dict[str, Any]) -> Iterator[tuple[tuple, dict[str, Any]]]:
    """The arguments with one static value another."""
    for n, value in enumerate(args):
        for other in _others(value):
            yield (*args[:n], other, *args[n + 1 :]), kwargs
    for name, value in kwargs.items():
        for other in _others(value):
            yield args, {**kwargs, name: other}


def _others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 0 if value else -1]
    if isinstance(value, float):
        return [2 * value + 1]
    if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
        return [value[::-1], (*value[:-1], value[-1] + 1)]
    return []


def unequal(check: str, label: str, prims: list[Any]) -> list[Finding]:
    """One finding where two of these instances compare equal for the same types and yet compute something else."""
    for p, q in combinations(prims, 2):
        apart = _apart(p, q)
        if apart:
            text = (
                f"two {type(p).__name__} compare equal though {apart}: it is kept outside params, so that jit, "
                "lax.switch and checkpoint use the first one's program for both"
            )
            return [Finding(check, "params", None, None, None, "equality", text, label)]
    return []


def _apart(p: Any, q: Any) -> str:
    """In what two instances differ that count as equal; "" where they do not, or nothing comes of it."""
    try:
        if p != q or list(p.in_avals_flat) != list(q.in_avals_flat):
            return ""
    except Exception:
        return ""
    if list(p.out_avals_flat) != list(q.out_avals_flat):
        return f"their out_aval differs ({p.out_aval} and {q.out_aval})"
    mine, theirs = kept_beside(p), kept_beside(q)
    names = [k for k in {**mine, **theirs} if not _alike(mine.get(k), theirs.get(k))]
    if not names or _program(p) == _program(q):
        return ""
    return f"their {names[0]} differs ({mine.get(names[0])!r} and {theirs.get(names[0])!r})"


def _alike(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if is_array(a) and is_array(b):
        return np.shape(a) == np.shape(b) and bool(np.all(np.asarray(a) == np.asarray(b)))
    with contextlib.suppress(Exception):
        if bool(a == b):
            return True
    return callable(a) and callable(b) and key_of(a) == key_of(b)


def _program(prim: Any) -> list[str]:
    """What `expand` and the pullback compute, as text."""
    args = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in prim.in_avals_flat]

    def pulled(*leaves):
        y, back = jax.vjp(lambda *a: prim(*prim.in_tree.unflatten(a)), *leaves)
        return back(jax.tree_util.tree_map(jnp.ones_like, y))

    said = []
    for fun in (lambda *a: prim.expand(*prim.in_tree.unflatten(a)), pulled):
        try:
            closed = jax.make_jaxpr(fun)(*args)
            said.append(f"{closed} {[np.asarray(c).tolist() for c in closed.consts]}")
        except Exception as error:
            said.append(first_line(error))
    return said
