"""The rules that run in one call of a function, each with the values that reached it."""

import copy
import copyreg
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.function_under_test import first_line
from verify.program.recording import Record, recording
from verify.report.finding import UncheckableError

FUNCTIONS = (jax.custom_vjp, jax.custom_jvp, type(jax.jit(first_line)))


def recorded(function: Callable, *args: Any) -> list[Record]:
    """The rules that run in one call. On a backend without callbacks only the shapes are known, and normal numbers
    take the place of the values. Raises UncheckableError if the call fails without callbacks too."""
    for callbacks in (True, False):
        try:
            with recording(callbacks=callbacks) as found:
                jax.block_until_ready(jax.tree_util.tree_leaves(function(*_copied(args))))
                jax.effects_barrier()
        except Exception as error:
            if not callbacks:
                raise UncheckableError(f"the function fails on these arguments: {first_line(error)}") from error
        else:
            records = [r for r in found.records.values() if r.differentiable]
            return [r for r in records if r.ran] if callbacks else [drawn(r) for r in records]
    raise AssertionError("unreachable")


def drawn(record: Record) -> Record:
    """The record with normal numbers (zeros for integers) where no values were seen."""
    if not record.ran:
        rng = np.random.default_rng(0)
        closed = [jax.ShapeDtypeStruct(np.shape(a), a.dtype) for a in record.closed]
        record.fill(*[_sample(a, rng) for a in (*record.avals, *closed)])
        record.name += " (on normal numbers: its values could not be seen)"
    return record


def _sample(aval: Any, rng: np.random.Generator) -> Any:
    if jnp.issubdtype(aval.dtype, jax.dtypes.prng_key):
        return jax.random.key_data(jnp.broadcast_to(jax.random.key(0), aval.shape))
    if jnp.issubdtype(aval.dtype, jnp.inexact):
        return np.asarray(rng.standard_normal(aval.shape)).astype(aval.dtype)
    return np.zeros(aval.shape, aval.dtype)


def _copied(args: tuple) -> tuple:
    """A copy of the arguments, because a step may donate them or, as in Flax's nnx, change them. A rule that a module
    holds, as its activation, stays itself: JAX's cannot be copied, or become others."""
    reducers = copyreg.dispatch_table
    before = dict(reducers)
    try:
        reducers.update(dict.fromkeys(FUNCTIONS, lambda function: "itself"))  # to `copy`, a text says: no copy
        return copy.deepcopy(args)
    except Exception:  # something in them cannot be copied: the step gets the original
        return args
    finally:
        reducers.clear()
        reducers.update(before)
