"""Which of the paths from an argument to the output a rule forgets.

Through a mean, a norm or a normaliser x acts on y a second time, and that term is what people leave out, or give the
wrong sign: "r moves with x too". The oracle is run with the derivative of one sum or maximum at a time weighted by a
number. Its weight 0 takes the sum for a constant; and since cotangents are linear in the weight, two runs tell which
weight would explain what the rule returns, if any does.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.call_under_test import CallUnderTest
from verify.oracle.primal import CALLS, TRANSPARENT, bind, inner, is_call, kept, walk
from verify.report.evidence import Evidence, alike, bar, near, ratio, short
from verify.running import WIDE, call, pullback, quickly, widened

REDUCTIONS = {"reduce_sum": "sum (or mean)", "reduce_max": "maximum", "reduce_min": "minimum", "reduce_prod": "product"}
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
MOST = len(ORDINALS)  # reductions looked at, the first ones
FEWEST = 3  # elements that must agree on a weight


def through_a_reduction(case: CallUnderTest, k: int, seen: Evidence) -> str:
    """The reduction through which a term of the cotangent is missing, or of the wrong sign or size."""
    flat, found = case.tested.oracle(case.options), list[tuple[str, int]]()
    with widened(WIDE):
        jax.eval_shape(lambda arrays: _weighted(flat, [1.0] * MOST, found)(*arrays), case.at(WIDE))
    if not found or ratio(seen.expected, seen.got, seen.tolerance) is not None:
        return ""
    run = quickly(lambda weights, arrays, y_bar: pullback(_weighted(flat, weights, []), case.perturbed)(arrays, y_bar))

    def without(chosen: Sequence[int]) -> np.ndarray:
        weights = [np.asarray(0.0 if n in chosen else 1.0) for n in range(MOST)]
        return np.asarray(
            call(run, WIDE, weights, case.at(WIDE), [np.asarray(g, WIDE) for g in case.y_bar])[1][k], WIDE
        )

    names = [words for words, _ in found]
    for n, (words, size) in enumerate(found):
        if text := _said(without([n]), seen, size):
            which = f"{ORDINALS[names[:n].count(words)]} " if names.count(words) > 1 else ""
            return f"{bar(seen.name)} {text.format(what=f'the {which}{words}')}"
    if 1 < len(found) < MOST and alike(without(range(len(found))), seen.got, seen.tolerance):
        whole = "lacks the terms through every sum and maximum of the function, which are treated as constants"
        return f"{bar(seen.name)} {whole}"
    return ""


def _said(base: np.ndarray, seen: Evidence, size: int) -> str:
    """`base` is the cotangent without the term, `size` how many numbers the reduction takes together."""
    term = seen.expected - base
    largest = float(np.abs(seen.expected).max())
    if float(np.abs(term).max()) <= 1e-3 * largest or (np.abs(term) > 1e-6 * largest).sum() < FEWEST:
        return ""
    if alike(base, seen.got, seen.tolerance):
        return "lacks the term through {what}, which is treated as a constant"
    weight = ratio(term, seen.got - base, seen.tolerance)
    if weight is None or near(weight, 1, seen.tolerance):
        return ""
    if near(weight, -1, seen.tolerance):
        return "has the term through {what} with the wrong sign"
    for factor, words in ((size, f"{size}, its length"), (1 / size, f"1/{size}, over its length")):
        if near(weight, factor, seen.tolerance):
            return f"has the term through {{what}} times {words}: a sum for a mean, or the reverse"
    return f"has the term through {{what}} times {short(weight)}"


def _weighted(flat: Callable, weights: Sequence[Any], found: list[tuple[str, int]]) -> Callable:
    """`flat` with the same values, the derivative of its n-th reduction times `weights[n]`. What the reductions are is
    appended to `found`."""

    def equation(eqn: Any, values: list[Any]) -> list[Any]:
        name = eqn.primitive.name
        if is_call(eqn, CALLS):
            return walk(kept(eqn, CALLS), values, equation)
        if name in TRANSPARENT:
            return walk(inner(eqn), values, equation)
        out = bind(eqn, values, eqn.params)
        if name not in REDUCTIONS or not jnp.issubdtype(out[0].dtype, jnp.floating) or len(found) >= len(weights):
            return out
        axes, shape = eqn.params["axes"], np.shape(values[0])
        over = f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"
        held = jax.lax.stop_gradient(out[0])
        weighted = held + jnp.asarray(weights[len(found)], held.dtype) * (out[0] - held)
        found.append((f"{REDUCTIONS[name]} over {over}", int(np.prod([shape[a] for a in axes]))))
        return [weighted]

    def function(*arrays: Any) -> list[Any]:
        found.clear()
        return walk(jax.make_jaxpr(flat)(*arrays), arrays, equation)

    return function
