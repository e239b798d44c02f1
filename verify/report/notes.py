"""What a report says besides right and wrong: names, the oracle, conventions at kinks, costs, detection limits."""

import inspect
import sys
from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any

import jax
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.function_under_test import FunctionUnderTest, first_line
from verify.generate import shapes
from verify.generate.options import option_values
from verify.oracle import at_kinks
from verify.oracle.noise import measured
from verify.oracle.tolerance import allowed_error, unit_roundoff
from verify.program.identity import is_array
from verify.report.finding import NotRunError
from verify.running import WIDE


def name_of(rule: Any) -> str:
    """What a callable is called, through `functools.partial` too."""
    return getattr(rule, "__name__", None) or getattr(getattr(rule, "func", None), "__name__", type(rule).__name__)


def shown(arg: Any) -> str:
    def leaf(a: Any) -> str:
        if not is_array(a):  # JAX's own literals have a dtype, and no shape
            return repr(a)
        short = str(a.dtype).replace("bfloat", "bf").replace("float", "f").replace("uint", "u").replace("int", "i")
        return f"{short}[{','.join(map(str, a.shape))}]"

    leaves = jax.tree_util.tree_leaves(arg)
    return (
        leaf(leaves[0])
        if len(leaves) == 1
        else "(" + ", ".join(map(leaf, leaves[:6])) + ("…" if len(leaves) > 6 else "") + ")"
    )


def oracle_name(tested: FunctionUnderTest | None, example: CallUnderTest | None) -> str:
    if tested is None:
        return "none"
    try:
        if example is not None:
            example.truth  # noqa: B018 (asks whether autodiff could be used)
    except NotRunError:
        return "forward mode of the function, where it has one, and differences: autodiff could not be used"
    if tested.reference is not None:
        return f"autodiff of the reference {getattr(tested.reference, '__name__', 'given')} in float64"
    if not tested.calls:
        return "autodiff of the function itself, which holds no hand-written rule, and differences"
    return "autodiff of the function with its hand-written rule removed, in float64; any subgradient at ties"


def equation_of(rule: Callable) -> str:
    """The words beside the rule, for the page: its module's docstring where it has one."""
    rule = getattr(rule, "func", rule)
    module = sys.modules.get(getattr(rule, "__module__", "") or "")
    text = (module.__doc__ if module is not None and module.__name__ != "__main__" else None) or rule.__doc__ or ""
    return inspect.cleandoc(text)[:2000]


def notes_on(example: CallUnderTest, chosen: list[ModuleType]) -> list[str]:
    """What is worth knowing besides right and wrong."""
    notes = []
    if example.tested.reference is None:
        try:
            seen = at_kinks.convention(example)
        except Exception:  # it has no value beside the example, or does not run in float64
            seen = ""
        notes.append(f"at kinks and ties of the example it returns {seen}" if seen else "")
    for one in chosen:
        if hasattr(one, "note"):
            try:
                notes.append(one.note(example))
            except Exception as error:
                notes.append(f"{one.NAME}: nothing to tell ({first_line(error)})")
    return [n for n in notes if n]


def not_varied(example: CallUnderTest, varied: Collection[str] | None) -> list[str]:
    """The options and axes of which no other value was tried, as notes: no other value is known, or the function
    refused each, or time or the number of calls did not reach. `varied` are the others; None where a fault ended the
    calls. An optional argument that was left out is no value that another could be made from: an array, an axis."""
    options, tried = example.tested.options, option_values(example) if varied is None else varied
    empty = inspect.Parameter.empty
    fixed = {n: p.default for n, p in options.items() if n not in tried and p.default is not empty}
    given = [f"{n}={v!r}" for n, v in fixed.items() if v is not None]
    absent = [n for n, v in fixed.items() if v is None]
    notes = [f"not varied: {', '.join(given)}"] if given else []
    notes += [f"optional arguments not given: {', '.join(absent)}"] if absent else []
    return notes + [f"not varied: {text}, equal in every call" for text in _kept_equal(example)]


def _kept_equal(example: CallUnderTest) -> list[str]:
    """Axes that are equal in the example and stay so, though the function takes others: queries and keys."""
    sizes, found = [tuple(a.shape) for a in example.arrays], []
    for axes in shapes.free_classes(example) if len(example.perturbed) > 1 else ():
        alone = [shapes.resized(sizes, {(n, k): sizes[n][k] + 1}) for n, k in axes if len(axes) > 1 and sizes[n][k] > 1]
        if any(shapes.accepted(example, other, example.options) for other in alone):
            paths = [example.tested.leaves[leaf].path for leaf in example.tested.arrays]
            found.append(" and ".join(f"axis {k} of {paths[n]}" for n, k in axes))
    return found


def detection_limits_of(example: CallUnderTest) -> tuple[tuple[str, float], ...]:
    """Per argument, the smallest error of one element that the comparison with the oracle sees wherever it sits,
    relative to the largest element."""
    try:
        truth, unit = example.truth, example.narrowest
        example.wide  # noqa: B018 (asks whether the rule runs in float64)
    except NotRunError:
        return ()
    except Exception:
        return ()
    found = []
    for k, (name, e, m) in enumerate(zip(example.names, truth.cotangents, truth.magnitudes, strict=True)):
        largest = float(np.abs(e).max(initial=0))
        allowed = measured(example, k, allowed_error(m, WIDE) * unit / unit_roundoff(WIDE), unit)
        if largest > 0:
            found.append((name, float(allowed.max(initial=0)) / largest))
    return tuple(found)
