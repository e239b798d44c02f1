"""Which hand-written rules run in a program, and the values that reach them.

Under `jax.grad` a `custom_vjp` call leaves nothing behind but its forward rule, so a step that differentiates shows
none in its jaxpr. The call itself is looked at instead: while a recording lasts, `__call__` of `jax.custom_vjp`, of
`jax.custom_jvp` and of hijax primitives notes the rule and its arguments before it goes on. Under `jit`, `vmap`, `scan`
and `grad` the arguments are tracers, and a `jax.debug.callback`, which every one of those carries along, brings the
values out of the running program: of the first iteration, the first row, the branch taken.
"""

import contextlib
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from verify.oracle.instances import BASE, is_instance, within_own_method
from verify.program.closures import PARTS, closed_over, replaced
from verify.program.identity import is_array, key_of, key_of_instance, name_of

KINDS = (jax.custom_vjp, jax.custom_jvp, *([BASE] if BASE is not None else []))


@dataclass
class Record:
    """A rule and one call of it. `leaves` are the arguments' leaves, None for an array not yet seen; `indices` those of
    the arrays; `avals` their shapes and dtypes; `impls` the kind of each random key; `ran` whether values were seen."""

    rule: Callable
    name: str
    treedef: Any
    leaves: list[Any]
    indices: list[int]
    avals: list[jax.ShapeDtypeStruct]
    impls: list[Any]
    static: tuple[int, ...]
    closed: list[Any]  # the arrays that the rule closes over, tracers of the program among them
    values: tuple[Any, ...] = ()  # these as they were
    ran: bool = False

    @property
    def concrete(self) -> Callable:
        """The rule, with arrays for the tracers that it closes over."""
        if not any(isinstance(a, jax.core.Tracer) for a in self.closed):
            return self.rule
        pairs = zip(self.closed, self.values, strict=True)
        return replaced(self.rule, {id(a): _restored(v, _impl(a)) for a, v in pairs})

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments, as concrete as the rule saw them."""
        leaves = list(self.leaves)
        for index, impl in zip(self.indices, self.impls, strict=True):
            if impl is not None and self.ran:
                leaves[index] = _restored(leaves[index], impl)
        return jax.tree_util.tree_unflatten(self.treedef, leaves)

    @property
    def argnums(self) -> tuple[int, ...] | None:
        """What `check` is to differentiate: None for everything, unless an array is in `nondiff_argnums`."""
        given = [a for n, a in enumerate(self.args) if n in self.static]
        arrays = any(is_array(leaf) for leaf in jax.tree_util.tree_leaves(given))
        return tuple(n for n in range(len(self.args)) if n not in self.static) if arrays else None

    @property
    def differentiable(self) -> bool:
        """Whether any argument has a derivative: Equinox makes rules of none to forbid one."""
        return any(jnp.issubdtype(a.dtype, jnp.inexact) for a in self.avals)

    def fill(self, *values: Any) -> None:
        """The first values that come by are kept, of a random key its words. Called by a running program, so that
        nothing in it may ask JAX to compute."""
        if self.ran:
            return
        count = len(self.indices)
        for index, aval, value in zip(self.indices, self.avals, values[:count], strict=True):
            self.leaves[index] = np.array(value) if _is_key(aval) else np.array(value, aval.dtype)
        self.values = tuple(np.array(value) for value in values[count:])
        self.ran = True


@dataclass
class Recording:
    """What was called while it lasted: one record per rule, shapes and static values, in order."""

    records: dict[Any, Record] = field(default_factory=dict)
    paused: bool = False
    callbacks: bool = True


NUMBERS = itertools.count(1)
ACTIVE: list[Recording] = []  # the innermost last; a recording within a recording hears alone


@contextlib.contextmanager
def recording(*, callbacks: bool = True) -> Iterator[Recording]:
    """Record the rules called inside. Programs traced before are traced again, and what is traced here stays apart from
    JAX's caches of other times. Without `callbacks` only shapes are recorded of what is traced."""
    now = Recording(callbacks=callbacks)
    before = [(kind, kind.__call__) for kind in KINDS]
    for kind, call in before:
        kind.__call__ = _noting(call)  # type: ignore[method-assign]
    ACTIVE.append(now)
    try:
        with _context()(next(NUMBERS)):
            yield now
    finally:
        ACTIVE.pop()
        for kind, call in before:
            kind.__call__ = call  # type: ignore[method-assign]


@functools.cache
def _context() -> Callable:
    """Part of the key of every cache of traced programs: so that nothing traced while recording is used afterwards."""
    return jax.make_user_context(0)


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """What runs inside is not recorded: a check of a rule calls it a hundred times."""
    before = [r.paused for r in ACTIVE]
    for r in ACTIVE:
        r.paused = True
    try:
        with _context()(-1) if ACTIVE else contextlib.nullcontext():
            yield
    finally:
        for r, was in zip(ACTIVE, before, strict=True):
            r.paused = was


def unrecorded(fun: Callable) -> Callable:
    """`fun`, of which nothing is recorded."""

    @functools.wraps(fun)
    def quiet(*args, **kwargs):
        with paused():
            return fun(*args, **kwargs)

    return quiet


def _noting(call: Callable) -> Callable:
    @functools.wraps(call)
    def noted(self, *args, **kwargs):
        now = ACTIVE[-1] if ACTIVE else None
        if now is not None and not now.paused and _of_the_program(self):
            _note(now, self, args, kwargs)
        return call(self, *args, **kwargs)

    return noted


def _of_the_program(rule: Any) -> bool:
    """Not of JAX, which makes a primitive of a custom_vjp where its flags say so, nor of a primitive's own methods:
    `batch` calls it again, at shapes that the program does not have."""
    if BASE is None or not isinstance(rule, BASE):
        return True
    return is_instance(rule) and not within_own_method(rule)


def _note(now: Recording, rule: Any, args: tuple, kwargs: dict[str, Any]) -> None:
    given = _positional(rule, args, kwargs)
    if given is None:
        return  # the call itself will say what is wrong with it
    leaves, treedef = jax.tree_util.tree_flatten(given)
    indices = [k for k, leaf in enumerate(leaves) if is_array(leaf)]
    avals = [jax.ShapeDtypeStruct(np.shape(leaves[k]), _dtype(leaves[k])) for k in indices]
    static = [(k, key_of(leaf)) for k, leaf in enumerate(leaves) if not is_array(leaf)]
    shapes = tuple((a.shape, str(a.dtype)) for a in avals)
    parts = key_of_instance(rule) if is_instance(rule) else tuple(key_of(getattr(rule, part, None)) for part in PARTS)
    key = (parts, str(treedef), shapes, repr(static))
    record = now.records.get(key)
    if record is None:
        numbers = tuple(getattr(rule, "nondiff_argnums", ()))
        closed = list(closed_over(rule))
        impls = [_impl(leaves[k]) for k in indices]
        empty = [None if is_array(leaf) else leaf for leaf in leaves]
        record = now.records[key] = Record(rule, name_of(rule), treedef, empty, indices, avals, impls, numbers, closed)
    if record.ran:
        return
    arrays = [_raw(a) for a in (*(leaves[k] for k in indices), *record.closed)]
    if not any(isinstance(a, jax.core.Tracer) for a in arrays):
        record.fill(*arrays)
    elif now.callbacks:
        # Rows of a vmap and devices of a mesh each call it; only the first is kept.
        jax.debug.callback(record.fill, *arrays)


def _positional(rule: Any, args: tuple, kwargs: dict[str, Any]) -> tuple | None:
    if not kwargs:
        return args
    try:
        bound = inspect.signature(rule.fun).bind(*args, **kwargs)
        bound.apply_defaults()
    except (TypeError, ValueError):
        return None
    return bound.args


def _raw(array: Any) -> Any:
    """A random key as its words: callbacks take plain arrays."""
    return jax.random.key_data(array) if _is_key(array) else array


def _dtype(array: Any) -> Any:
    """What JAX computes with: an array of NumPy's in float64 is float32 to it, unless it is told otherwise."""
    return jax.dtypes.canonicalize_dtype(array.dtype, allow_extended_dtype=True)


def _is_key(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jax.dtypes.prng_key)


def _impl(array: Any) -> Any:
    return jax.random.key_impl(array) if _is_key(array) else None


def _restored(value: np.ndarray, impl: Any) -> jax.Array:
    return jnp.asarray(value) if impl is None else jax.random.wrap_key_data(jnp.asarray(value), impl=impl)
