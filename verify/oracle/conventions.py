"""The function with another slope at its kinks: 0, ½ or 1 where `max`, `abs` and their like have none of their own.

A rule written by hand has one convention, autodiff another (½ at `max`, 0 at `abs`), and deep inside a function, or
under a sum, no one-sided slope of the whole shows which. So the jaxpr is evaluated with each such operation
differentiated by a slope that is a parameter: one compiled program answers for every convention. Values are unchanged,
but for comparisons, whose ties may go to the other side: where an output depends on that, it is no convention.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.oracle.primal import JVP_CALLS, TRANSPARENT, bind, equations, inner, is_call, kept, scan_parts, walk

SLOPES = (0.5, 0.0, 1.0)
MOST = 64  # kinks told apart; more of them share their parameters
SITES_APART = 3  # up to so many, every combination of slopes is tried
COMPARISONS = {"gt": ("gt", 0.0), "lt": ("lt", 0.0), "ge": ("gt", 1.0), "le": ("lt", 1.0)}
EXTREMA = {"max": 1, "min": -1, "reduce_max": 1, "reduce_min": -1}
KINDS = {"abs", "clamp", *EXTREMA, *COMPARISONS}
# What a custom_jvp such as jax.nn.relu is made of, if its convention is all that is written by hand.
PLAIN = KINDS | TRANSPARENT | {"select_n", "mul", "add", "sub", "convert_element_type", "broadcast_in_dim", "neg"}


@jax.custom_jvp
def _larger(x, y, slope):
    return jnp.maximum(x, y)


@_larger.defjvp
def _larger_jvp(primals, tangents):
    x, y, slope = primals
    dx, dy, _ = tangents
    tied = slope * dx + (1 - slope) * dy
    return jnp.maximum(x, y), jnp.where(x > y, dx, jnp.where(x < y, dy, tied))


@jax.custom_jvp
def _magnitude(x, slope):
    return jnp.abs(x)


@_magnitude.defjvp
def _magnitude_jvp(primals, tangents):
    x, slope = primals
    return jnp.abs(x), jnp.where(x == 0, 2 * slope - 1, jnp.sign(x)) * tangents[0]


@jax.custom_jvp
def _clamp(low, x, high, slope):
    return jnp.clip(x, low, high)


@_clamp.defjvp
def _clamp_jvp(primals, tangents):
    low, x, high, slope = primals
    inside = (x > low) & (x < high)
    return jnp.clip(x, low, high), jnp.where(inside, 1.0, jnp.where((x == low) | (x == high), slope, 0)) * tangents[1]


def _largest(axes: tuple[int, ...]) -> Callable:
    """The maximum over `axes`; among ties the first takes all at slope 1, the last at 0, at ½ they share."""

    @jax.custom_jvp
    def largest(x, slope):
        return x.max(axes)

    @largest.defjvp
    def largest_jvp(primals, tangents):
        x, slope = primals
        moved = jnp.moveaxis(x, axes, tuple(range(len(axes))))
        flat = moved.reshape(-1, *moved.shape[len(axes) :])
        top = flat.max(0)
        tied = flat == top[None]
        order = jnp.cumsum(tied, 0)
        count = order[-1:]
        first, last = tied & (order == 1), tied & (order == count)
        share = tied / jnp.maximum(count, 1)
        weights = jnp.where(slope > 0.75, first, jnp.where(slope < 0.25, last, share))
        tangent = jnp.moveaxis(tangents[0], axes, tuple(range(len(axes)))).reshape(flat.shape)
        return top, (weights * tangent).sum(0)

    return largest


def settings(kinds: Sequence[str]) -> Iterator[np.ndarray]:
    """Slopes to try for kinks of these kinds: one for all, one for each kind, and, of few, every combination."""
    seen: set[tuple[float, ...]] = set()
    families = sorted({_family(k) for k in kinds})
    apart = [dict(zip(families, c, strict=True)) for c in itertools.product(SLOPES, repeat=len(families))]
    choices = [tuple(c[_family(k)] for k in kinds) for c in apart[:243]]
    if len(kinds) <= SITES_APART:
        choices += itertools.product(SLOPES, repeat=len(kinds))
    for choice in choices:
        if choice not in seen:
            seen.add(choice)
            full = np.full(MOST, 0.5)
            full[: len(choice)] = choice[:MOST]
            yield full


def _family(kind: str) -> str:
    return "comparison" if kind in COMPARISONS else kind.replace("reduce_", "").replace("min", "max")


class _Evaluation:
    """One evaluation of a jaxpr; `kinds` lists the kinks met, in order."""

    def __init__(self, slopes: Any, kinds: list[str]):
        self.slopes, self.kinds = slopes, kinds

    def slope(self, kind: str) -> Any:
        self.kinds.append(kind)
        return self.slopes[(len(self.kinds) - 1) % MOST]

    def jaxpr(self, closed: Any, args: Sequence[Any], varying: Sequence[bool]) -> tuple[list[Any], list[bool]]:
        """Outputs, and whether each depends on what is differentiated."""

        def equation(eqn, pairs):
            return zip(*self.equation(eqn, [v for v, _ in pairs], [m for _, m in pairs]), strict=True)

        outs = walk(closed, zip(args, varying, strict=True), equation, lambda value: (value, False))
        return [v for v, _ in outs], [m for _, m in outs]

    def equation(self, eqn: Any, values: list[Any], moving: list[bool]) -> tuple[list[Any], list[bool]]:
        name, params = eqn.primitive.name, eqn.params
        if is_call(eqn, JVP_CALLS) and _plain(kept(eqn, JVP_CALLS)):
            return self.jaxpr(kept(eqn, JVP_CALLS), values, moving)
        if name in TRANSPARENT:
            return self.jaxpr(inner(eqn), values, moving)
        moves = [any(moving)] * len(eqn.outvars)
        if name in KINDS and any(moving) and all(_floating(v) for v in values):
            return [self.kink(name, params, values, moving)], moves
        if name == "scan" and _kinked(params["jaxpr"]):
            return self.scan(eqn, values), moves
        if name == "cond" and _kinked(params["branches"]):
            index, *operands = values
            run = [lambda *v, b=b: self.jaxpr(b, v, [True] * len(v))[0] for b in params["branches"]]
            return list(jax.lax.switch(index, run, *operands)), moves
        return bind(eqn, values, params), moves

    def kink(self, name: str, params: dict[str, Any], values: list[Any], moving: list[bool]) -> Any:
        slope = self.slope(name)
        if name == "abs":
            return _magnitude(values[0], slope)
        if name == "clamp":
            return _clamp(*values, slope)
        if name in COMPARISONS:
            strict, natural = COMPARISONS[name]
            x, y = values
            weak = jnp.where(slope == 0.5, natural, slope) == 1
            return (x > y if strict == "gt" else x < y) | ((x == y) & weak)
        sign = EXTREMA[name]
        if name.startswith("reduce"):
            return sign * _largest(tuple(params["axes"]))(sign * values[0], slope)
        x, y = (sign * v for v in values)
        return sign * (_larger(x, y, slope) if moving[0] else _larger(y, x, slope))

    def scan(self, eqn: Any, values: list[Any]) -> list[Any]:
        p, start = eqn.params, len(self.kinds)
        consts, carry, xs = scan_parts(eqn, values)

        def step(state, x):
            del self.kinds[start:]  # traced more than once
            inputs = [*consts, *state, *x]
            out = self.jaxpr(p["jaxpr"], inputs, [True] * len(inputs))[0]
            return out[: len(carry)], out[len(carry) :]

        last, ys = jax.lax.scan(step, carry, xs, length=p["length"], reverse=p["reverse"])
        return [*last, *ys]


def with_slopes(fun: Callable, kinds: list[str], perturbed: Sequence[int]) -> Callable:
    """`fun` (arrays to a list of arrays) as a function of `MOST` slopes and the arrays; its trace fills `kinds`."""

    def evaluated(slopes, *args):
        del kinds[:]
        closed = jax.make_jaxpr(fun)(*args)
        varying = [n in perturbed for n in range(len(args))]
        return _Evaluation(slopes, kinds).jaxpr(closed, args, varying)[0]

    return evaluated


def _plain(closed: Any) -> bool:
    return all(e.primitive.name in PLAIN or is_call(e, JVP_CALLS) for e in equations(closed))


def _kinked(jaxprs: Any) -> bool:
    return any(e.primitive.name in KINDS for e in equations(jaxprs))


def _floating(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.floating)
