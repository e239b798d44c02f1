"""Ways to break a computation, one equation at a time, on its jaxpr."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from verify.oracle.primal import TRANSPARENT, bind, inner, walk

COMPARISONS = {"gt": jax.lax.ge, "ge": jax.lax.gt, "lt": jax.lax.le, "le": jax.lax.lt}
LINEAR_PAIR = {"add", "sub", "add_any"}


@dataclass(frozen=True)
class Break:
    """Equation number `place` (-1: the cotangent that comes in) computed wrongly in the way `how` names."""

    place: int
    primitive: str
    how: str

    def __str__(self) -> str:
        at = "the incoming cotangent" if self.place < 0 else f"equation {self.place} ({self.primitive})"
        return f"{at}: {self.how}"


def possible(closed: Any) -> list[Break]:
    """Every break this file knows of, for each equation of a backward computation."""
    found = [Break(-1, "", "ignored, ones instead"), Break(-1, "", "doubled")]
    for place, eqn in enumerate(_flat(closed)):
        found += [Break(place, eqn.primitive.name, how) for how in _ways(eqn)]
    return found


def evaluate_broken(closed: Any, args: Sequence[Any], cotangents: int, wrong: Break) -> list[Any]:
    """Evaluate a backward jaxpr with one break; the last `cotangents` of `args` are the incoming cotangents."""
    values = list(args)
    if wrong.place < 0:
        for k in range(len(values) - cotangents, len(values)):
            values[k] = jnp.ones_like(values[k]) if wrong.how.startswith("ignored") else 2 * values[k]
    count = iter(range(10**9))
    return _evaluate(closed, values, wrong, count)


def _evaluate(closed: Any, args: Sequence[Any], wrong: Break, count: Iterator[int]) -> list[Any]:
    def equation(eqn, values):
        if eqn.primitive.name in TRANSPARENT:
            return _evaluate(inner(eqn), values, wrong, count)
        if next(count) == wrong.place:
            return _broken(eqn, values, wrong.how)
        return bind(eqn, values, eqn.params)

    return walk(closed, args, equation)


def _flat(closed: Any) -> Iterator[Any]:
    """Equations in the order of evaluation, calls that only group replaced by what they group."""
    for eqn in closed.jaxpr.eqns:
        if eqn.primitive.name in TRANSPARENT:
            yield from _flat(inner(eqn))
        else:
            yield eqn


def _ways(eqn: Any) -> list[str]:
    name, out = eqn.primitive.name, eqn.outvars[0].aval
    if name in COMPARISONS:
        return ["strict for weak", "inverted"]
    if not hasattr(out, "dtype") or not jnp.issubdtype(out.dtype, jnp.floating):
        return []
    if name in ("broadcast_in_dim", "copy", "convert_element_type", "iota") and not eqn.invars:
        return []
    ways = ["sign"]
    if name in LINEAR_PAIR:
        ways += ["first term dropped", "second term dropped"]
    elif name == "mul":
        ways += ["first factor dropped", "second factor dropped"]
    elif name == "select_n" and len(eqn.invars) == 3:
        ways += ["choice inverted"]
    elif name == "reduce_sum":
        ways += ["mean for the sum", "first term only"]
    elif name not in ("broadcast_in_dim", "reshape", "convert_element_type", "squeeze"):
        ways += ["scaled by 1.01", "zero"]
    shape = out.shape
    if len(shape) > 1 and shape[0] > 1:
        ways.append("first sample only")
    if len(shape) >= 1 and shape[-1] > 1:
        ways.append("last slice zero")
    if len(shape) > 2 and shape[1] > 2:
        ways.append("shifted along axis 1")
    pair = _equal_axes(shape)
    if pair:
        ways.append(f"axes {pair[0]} and {pair[1]} exchanged")
    return ways


def _equal_axes(shape: tuple[int, ...]) -> tuple[int, int] | None:
    for i in range(len(shape)):
        for j in range(i + 1, len(shape)):
            if shape[i] == shape[j] > 1:
                return i, j
    return None


def _broken(eqn: Any, values: list[Any], how: str) -> list[Any]:
    out = bind(eqn, values, eqn.params)
    first = BREAKS[how](eqn, values, out[0]) if how in BREAKS else _exchanged(out[0], how)
    return [first, *out[1:]]


def _exchanged(out: Any, how: str) -> Any:
    words = how.split()
    i, j = int(words[1]), int(words[3])
    # At another shape those axes may differ; then this break has no meaning there.
    return jnp.swapaxes(out, i, j) if out.ndim > j and out.shape[i] == out.shape[j] else out


def _first_term(eqn: Any, values: list[Any], out: Any) -> Any:
    axes = eqn.params["axes"]
    index = tuple(0 if k in axes else slice(None) for k in range(values[0].ndim))
    return values[0][index]


def _mean(eqn: Any, values: list[Any], out: Any) -> Any:
    return out / (values[0].size // max(1, out.size))


def _choice(eqn: Any, values: list[Any], out: Any) -> Any:
    return bind(eqn, [values[0], values[2], values[1]], eqn.params)[0]


def _like(value: Any, out: Any) -> Any:
    return jnp.broadcast_to(value, out.shape).astype(out.dtype)


BREAKS: dict[str, Callable[[Any, list[Any], Any], Any]] = {
    "sign": lambda eqn, v, out: -out,
    "zero": lambda eqn, v, out: jnp.zeros_like(out),
    "scaled by 1.01": lambda eqn, v, out: out * 1.01,
    "first term dropped": lambda eqn, v, out: -_like(v[1], out) if eqn.primitive.name == "sub" else _like(v[1], out),
    "second term dropped": lambda eqn, v, out: _like(v[0], out),
    "first factor dropped": lambda eqn, v, out: _like(v[1], out),
    "second factor dropped": lambda eqn, v, out: _like(v[0], out),
    "choice inverted": _choice,
    "mean for the sum": _mean,
    "first term only": _first_term,
    "strict for weak": lambda eqn, v, out: COMPARISONS[eqn.primitive.name](v[0], v[1]),
    "inverted": lambda eqn, v, out: ~out,
    "first sample only": lambda eqn, v, out: out.at[1:].set(0) if out.ndim else out,
    "last slice zero": lambda eqn, v, out: out.at[..., -1].set(0) if out.ndim else out,
    "shifted along axis 1": lambda eqn, v, out: jnp.roll(out, 1, 1) if out.ndim > 1 else out,
}
