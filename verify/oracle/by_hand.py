"""Whether a function holds a rule at all that somebody wrote.

Of a function that holds none, autodiff is the derivative: where its formula overflows in a narrow dtype, autodiff does
so with it, as ∞ · 0 where a distribution function saturates. That is worth a note, and no rule's fault.
"""

import os
import types
from typing import Any

import jax

from verify.call_under_test import CallUnderTest
from verify.oracle.instances import INSTANCE
from verify.oracle.primal import CALLS, equations, is_call
from verify.program.closures import PARTS, RULES
from verify.program.identity import filled

JAX = os.path.join(os.path.dirname(jax.__file__), "")  # the folder of its files
WRITTEN = ("call_jaxpr", "jvp_jaxpr_fun", "fwd_jaxpr_thunk", "bwd")  # the parts of a rule, which know their files


def plain(case: CallUnderTest) -> bool:
    """Whether no rule but JAX's own is in the function, as `jax.nn.relu` has one, and no reference beside it."""
    if case.tested.reference is not None or INSTANCE in case.tested.primitives:
        return False
    key = ("plain", repr(sorted(case.options.items())))
    if key not in case.tested.compiled:
        closed = jax.make_jaxpr(case.tested.flat(case.tested.rule, case.options))(*case.arrays)
        rules = [e for e in equations(closed) if is_call(e, CALLS)]
        case.tested.compiled[key] = not _written(case.tested.rule) and all(map(_of_jax, rules))
    return case.tested.compiled[key]


def _of_jax(eqn: Any) -> bool:
    """Whether all parts of a rule are in JAX's files: a rule of one's own may be of one of JAX's functions."""
    infos = [_info(eqn.params[part]) for part in WRITTEN if part in eqn.params]
    return bool(infos) and all(str(getattr(info, "func_filename", "")).startswith(JAX) for info in infos)


def _info(part: Any) -> Any:
    return getattr(getattr(part, "jaxpr", part), "debug_info", None)


def _written(rule: Any) -> bool:
    """Whether the callable is a rule of which a part is in another file than JAX's; what `defjvps` is given is in the
    cells of a function of JAX."""
    if not isinstance(rule, RULES):
        return False
    parts = [getattr(rule, part, None) for part in PARTS]
    jvps = [f for part in parts for cell in getattr(part, "__closure__", None) or () for f in _functions(cell)]
    own = [part for part in (*parts, *jvps) if isinstance(part, types.FunctionType)]
    return any(not part.__code__.co_filename.startswith(JAX) for part in own)


def _functions(cell: Any) -> list[Any]:
    value = cell.cell_contents if filled(cell) else None
    return list(value) if isinstance(value, tuple | list) else [value]
