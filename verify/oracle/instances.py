"""Hijax primitives as objects: which ones a function calls, which method raised, one at another dtype."""

import contextlib
import copy
import inspect
import sys
from collections.abc import Callable, Iterator, Set
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import hijax

from verify.oracle.primal import HIJAX, TRANSPARENT, VJP_CALLS, bind, equations, inner, is_call, walk

BASE: Any = getattr(hijax, "HiPrim", getattr(hijax, "VJPHiPrimitive", None))  # the older name: JAX 0.10
INSTANCE = "a hijax primitive by hand"  # among the names of a rule's primitives: one that is not JAX's own
SYMBOLIC_ZEROS = "symbolic zeros"  # likewise: a rule that is told which arguments and outputs play no part
# The methods that a primitive may be given.
METHODS = (
    *("expand", "vjp_fwd", "vjp_bwd", "vjp_bwd_retval", "jvp", "lin", "linearized"),
    *("batch", "transpose", "remat", "dce"),
)
DERIVED = ("vjp_from_jvp", "vjp_from_lin")  # by which JAX makes vjp_fwd and vjp_bwd_retval of other methods
# What JAX says where a method is not written: nothing is promised, so nothing is wrong.
UNWRITTEN = "support, subclass"
GIVEN = {"in_avals", "out_aval", "params", "in_avals_flat", "out_avals_flat", "in_tree", "out_tree", "effects"}


def is_instance(rule: Any) -> bool:
    """Whether a rule is somebody's hijax primitive, not one of JAX's own."""
    return BASE is not None and isinstance(rule, BASE) and not type(rule).__module__.startswith("jax._src")


def names_of(eqn: Any) -> list[str]:
    """The primitive's name; INSTANCE, too, of a hijax primitive that is not JAX's own, with what it is DERIVED by, and
    SYMBOLIC_ZEROS."""
    prim = eqn.params.get("_prim")
    told = eqn.params.get("symbolic_zeros", getattr(prim, "symbolic_zeros", False)) is True
    own = [INSTANCE, *(d for d in DERIVED if _derived(prim, d))] if is_instance(prim) else []
    return [eqn.primitive.name, *own, *[SYMBOLIC_ZEROS] * told]


def written(prim: Any, method: str) -> bool:
    return getattr(type(prim), method, None) is not getattr(BASE, method, None)


def _derived(prim: Any, by: str) -> bool:
    pair = tuple(getattr(hijax, by, ()))
    return getattr(type(prim), "vjp_fwd", None) in pair


def by_methods(names: Set[str]) -> str:
    """Which methods of a hijax primitive among these `names` a gradient comes from; nothing of other rules."""
    made = "".join(f", which {d} makes" for d in DERIVED if d in names)
    return f", by the methods vjp_fwd and vjp_bwd{made}" if INSTANCE in names else ""


def method_in(error: BaseException) -> str:
    """The method that an exception came out of, the innermost; "" where it was none."""
    found, trace = "", error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name in METHODS and is_instance(frame.f_locals.get("self")):
            found = frame.f_code.co_name
        trace = trace.tb_next
    return found


def within_own_method(prim: Any) -> bool:
    """Whether the code that runs is, at any depth, in a method of a primitive of this class, `expand` excepted."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in METHODS[1:] and type(frame.f_locals.get("self")) is type(prim):
            return True
        frame = frame.f_back
    return False


def function_of(prim: Any) -> Callable:
    """An instance as a function of arrays of its own shapes, at any floating dtype: for another than its own it is
    copied with the types of the arguments. Raises ValueError for other shapes."""

    def rule(*args):
        return _typed(prim, args)(*args)

    rule.__name__ = type(prim).__name__
    with contextlib.suppress(TypeError, ValueError):
        rule.__signature__ = inspect.signature(prim.expand)  # type: ignore[attr-defined]
    return rule


def _typed(prim: Any, args: tuple) -> Any:
    """The instance, or a copy that takes the dtypes of `args` and returns the widest of them."""
    types = [jax.typeof(a) for a in jax.tree_util.tree_leaves(args)]
    made_for = prim.in_avals_flat
    if [t.shape for t in types] != [t.shape for t in made_for]:
        raise ValueError(f"this {type(prim).__name__} is made for {made_for}, not for {types}")
    if [t.dtype for t in types] == [t.dtype for t in made_for]:
        return prim
    floats = [t.dtype for t in types if jnp.issubdtype(t.dtype, jnp.floating)]
    widest = jnp.result_type(*floats)
    made = copy.copy(prim)
    made.in_avals_flat = types
    made.out_avals_flat = [
        o.update(dtype=widest) if jnp.issubdtype(o.dtype, jnp.floating) else o for o in prim.out_avals_flat
    ]
    made.in_avals = jax.tree_util.tree_unflatten(prim.in_tree, made.in_avals_flat)
    made.out_aval = jax.tree_util.tree_unflatten(prim.out_tree, made.out_avals_flat)
    return made


def fits(fun: Callable) -> bool:
    """Whether every hijax primitive that `fun()` calls gets the dtypes it was made for. JAX itself takes any, and goes
    wrong later, so an instance that a function closes over is asked before."""
    calls = [e for e in equations(jax.make_jaxpr(fun)()) if e.primitive.name == HIJAX]
    return all([v.aval.dtype for v in e.invars] == [a.dtype for a in e.params["_prim"].in_avals_flat] for e in calls)


def used(closed: Any, args: Any) -> list[tuple[Any, list[Any]]]:
    """The hijax primitives that a closed jaxpr calls outside of loops and branches, each with its operands."""
    found: list[tuple[Any, list[Any]]] = []

    def equation(eqn, values):
        if eqn.primitive.name == HIJAX and is_call(eqn, VJP_CALLS) and is_instance(eqn.params["_prim"]):
            found.append((eqn.params["_prim"], list(values)))
        elif eqn.primitive.name in TRANSPARENT:
            return walk(inner(eqn), values, equation)
        return bind(eqn, values, eqn.params)

    walk(closed, args, equation)
    return found


def kept_beside(prim: Any) -> dict[str, Any]:
    """What an instance holds beside its types and `params`."""
    return {k: v for k, v in vars(prim).items() if k not in GIVEN and k not in prim.params}


@contextlib.contextmanager
def constructions(kind: type) -> Iterator[list[tuple[tuple, dict[str, Any]]]]:
    """The arguments of each construction of a primitive of this class meanwhile."""
    seen: list[tuple[tuple, dict[str, Any]]] = []
    before = kind.__init__

    def noting(self, *args, **kwargs):
        seen.append((args, kwargs))
        before(self, *args, **kwargs)

    own = "__init__" in vars(kind)
    kind.__init__ = noting  # type: ignore[misc]
    try:
        yield seen
    finally:
        if own:
            kind.__init__ = before  # type: ignore[misc]
        else:
            del kind.__init__
