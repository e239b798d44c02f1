"""Running error analysis: how far rounding can move each element of a result.

Beside every value v an error bound e is carried, in units of the roundoff u, through the jaxpr that computes it:

    z = f(x, y)      e_z = |∂f/∂x| e_x + |∂f/∂y| e_y + |z|          (each operation rounds once)
    z = Σₖ aₖ bₖ     e_z = Σ |a| e_b + Σ e_a |b| + c(n) Σ |a b|     (n terms, c(n) = 1 + √n / 2)

or, where sums are carried in a wider type and rounded once at the end, as low-precision sums must be, + |z| in the
last line as in the first,

to first order (Wilkinson; Higham, Accuracy and Stability of Numerical Algorithms, chapter 3). √n in place of the
worst case's n, because rounding errors of a long sum point both ways. Inputs are exact. The bound of an element
depends on that element's own terms only, and grows where an intermediate cancels: it is what conditioning costs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.oracle.primal import CALLS, TRANSPARENT, bind, inner, is_call, kept, scan_parts, walk
from verify.oracle.tolerance import unit_roundoff

CONTRACTIONS = {"dot_general", "conv_general_dilated"}
COARSEST = unit_roundoff(jnp.bfloat16)
PRODUCTS = {"mul", "square", "integer_pow"}
MOVES = {
    *("reshape", "transpose", "squeeze", "broadcast_in_dim", "slice", "rev", "pad", "concatenate", "gather"),
    *("dynamic_slice", "dynamic_update_slice", "select_n", "copy", "copy_p", "neg", "expand_dims", "stop_gradient"),
    *("max", "min", "reduce_max", "reduce_min", "reduce_window_max", "select_and_gather_add", "abs", "sign", "while"),
}


def with_error_bounds(fun: Callable, wide_sums: bool = False) -> Callable:
    """`fun` (arrays to a flat list of arrays) as a function that returns (values, magnitudes). With `wide_sums` a sum
    is taken to round once, at its end."""

    def values_and_errors(*args):
        closed = jax.make_jaxpr(fun)(*args)
        return _evaluate(closed, list(args), [None] * len(args), wide_sums)

    return values_and_errors


def _floating(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.inexact)


def _real(x: Any) -> Any:
    """The real dtype that an error has: that of the value, or of its parts where it is complex."""
    return jnp.finfo(jnp.result_type(x)).dtype


def _evaluate(closed: Any, values: Sequence[Any], errors: Sequence[Any], wide: bool) -> tuple[list[Any], list[Any]]:
    """Values and errors of a jaxpr's outputs; an error of None stands for zero."""

    def equation(eqn, pairs):
        vs, es = zip(*pairs, strict=True) if pairs else ((), ())
        return zip(*_equation(eqn, vs, es, wide), strict=True)

    outs = walk(closed, zip(values, errors, strict=True), equation, lambda value: (value, None))
    filled = [jnp.zeros(jnp.shape(v), _real(v)) if e is None and _floating(v) else e for v, e in outs]
    return [v for v, _ in outs], filled


def _equation(eqn: Any, values: Sequence[Any], errors: Sequence[Any], wide: bool) -> tuple[list[Any], list[Any]]:
    name, params = eqn.primitive.name, eqn.params
    if is_call(eqn, CALLS):
        return _evaluate(kept(eqn, CALLS), values, errors, wide)
    if name in TRANSPARENT:
        return _evaluate(inner(eqn), values, errors, wide)
    if name == "scan":
        return _scan(eqn, values, errors, wide)
    if name == "cond":
        return _cond(eqn, values, errors, wide)
    out = bind(eqn, values, params)
    own = [abs(o) if _floating(o) and name not in MOVES else None for o in out]
    if name == "fft":
        return out, [_transformed(eqn, values[0], errors[0], out[0])]
    if name in CONTRACTIONS:
        return out, [_contraction(eqn, values, errors, abs(out[0]) if wide else None)]
    if not wide and name.startswith(("reduce_sum", "cumsum", "reduce_window_sum", "scatter", "select_and_scatter_add")):
        own = [_length_weight(values, o) * e if e is not None else None for o, e in zip(out, own, strict=True)]
        if any(_floating(v) for v in values):
            own = _summed_magnitude(eqn, values, out, own)
    moved = [_plus(o, p) for o, p in zip(own, _propagated(eqn, values, errors, out), strict=True)]
    if name in PRODUCTS and moved[0] is not None:
        moved[0] = _plus(moved[0], _second_order(eqn, values, errors))
    if name == "sqrt" and errors[0] is not None and moved[0] is not None:
        # At 0, as of a variance of equal numbers, the slope is infinite: the root undoes the square's e² u.
        moved[0] = jnp.where(values[0] == 0, jnp.sqrt(errors[0] / COARSEST), moved[0])
    return out, moved


def _transformed(eqn: Any, x: Any, error: Any, out: Any) -> Any:
    """A Fourier transform's error: every output sums all inputs of its axes, log n roundings deep."""
    axes = tuple(range(jnp.ndim(x) - len(eqn.params["fft_lengths"]), jnp.ndim(x)))
    count = float(np.prod(eqn.params["fft_lengths"]))
    own = jnp.sqrt((abs(x) ** 2).sum(axes, keepdims=True)) * (1 + np.log2(count))
    total = own if error is None else own + error.sum(axes, keepdims=True)
    # Half a spectrum stands for the whole one in an inverse real transform.
    scale = 2 / count if "I" in str(eqn.params["fft_type"]).split(".")[-1] else 1.0
    return jnp.broadcast_to(total * scale, jnp.shape(out))


def _second_order(eqn: Any, values: Sequence[Any], errors: Sequence[Any]) -> Any:
    """e_x e_y u of a product, ½ n (n - 1) |x|ⁿ⁻² e² u of a power: all there is to a variance of equal numbers. u is
    bfloat16's, the coarsest: against float32 and float64 the term stays far below the first order wherever that is not
    zero."""
    first, second = (errors[0], errors[0]) if len(errors) == 1 else errors
    if first is None or second is None:
        return None
    if eqn.primitive.name != "integer_pow":
        return first * second * COARSEST
    n = eqn.params["y"]
    return _finite(abs(n * (n - 1)) / 2 * jax.lax.integer_pow(abs(values[0]), n - 2) * first * first * COARSEST)


def _length_weight(values: Sequence[Any], out: Any) -> float:
    terms = max(1.0, max(np.size(v) for v in values) / max(1, np.size(out)))
    return 1 + float(np.sqrt(terms)) / 2


def _summed_magnitude(eqn, values, out, own):
    """A sum's own rounding is that of Σ|terms|, not of |Σ terms|."""
    absolute = [abs(v) if _floating(v) else v for v in values]
    if eqn.primitive.name == "select_and_scatter_add":  # (source, operand): the operand only chooses
        absolute = [abs(values[0]), values[1]]
    sums = bind(eqn, absolute, eqn.params)
    return [_length_weight(values, o) * s if e is not None else None for o, s, e in zip(out, sums, own, strict=True)]


def _contraction(eqn: Any, values: Sequence[Any], errors: Sequence[Any], own: Any) -> Any:
    """`own` is the contraction's own rounding error, None for that of a sum carried in the same type."""
    a, b = values
    absolute = own

    def product(left, right):
        return abs(bind(eqn, [left.astype(jnp.result_type(a)), right.astype(jnp.result_type(b))], eqn.params)[0])

    if absolute is None:
        absolute = product(abs(a), abs(b)) * (1 + float(np.sqrt(_terms(eqn, a, b))) / 2)
    for left, right in ((errors[0], abs(b)), (abs(a), errors[1])):
        if left is not None and right is not None:
            absolute = absolute + product(left, right)
    return _finite(absolute)


def _terms(eqn: Any, a: Any, b: Any) -> float:
    """How many products go into one element of a contraction."""
    if eqn.primitive.name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        return float(np.prod([np.shape(a)[i] for i in contracted], initial=1.0))
    spec = eqn.params["dimension_numbers"].rhs_spec  # (out, in, spatial…)
    return float(np.prod([np.shape(b)[i] for i in spec[1:]], initial=1.0))


def _propagated(eqn: Any, values: Sequence[Any], errors: Sequence[Any], out: list[Any]) -> list[Any]:
    """Σ over operands of |∂out/∂operand| e. Every primitive but the contractions has partial derivatives of one sign
    in each row per operand, so the absolute value may be taken after the product."""
    total: list[Any] = [None] * len(out)
    for k, error in enumerate(errors):
        if error is None or not _floating(values[k]):
            continue

        if eqn.primitive.name in ("abs", "real", "imag", "complex", "conj", "stop_gradient"):
            # The parts of a complex number are as uncertain as it is; a number held constant is not exact.
            total[0] = _plus(total[0], error)
            continue

        def along(v, k=k):
            return bind(eqn, [*values[:k], v, *values[k + 1 :]], eqn.params)

        try:
            _, tangents = jax.jvp(along, (values[k],), (error.astype(jnp.result_type(values[k])),))
        except Exception:  # a primitive without a derivative: its result is as uncertain as its worst input
            worst = jnp.max(error, initial=0.0)
            tangents = [jnp.broadcast_to(worst, o.shape) if _floating(o) else o for o in out]
        total = [
            _plus(t, _finite(abs(d))) if _floating(o) else None for t, d, o in zip(total, tangents, out, strict=True)
        ]
    return total


def _plus(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _finite(e: Any) -> Any:
    # An infinite slope at a masked element (√0 behind a `where`) must not make every tolerance downstream infinite.
    return jnp.where(jnp.isfinite(e), e, jnp.zeros_like(e))


def _filled(values: Sequence[Any], errors: Sequence[Any]) -> list[Any]:
    pairs = zip(values, errors, strict=True)
    return [jnp.zeros(jnp.shape(v), _real(v)) if e is None and _floating(v) else e for v, e in pairs]


def _scan(eqn: Any, values: Sequence[Any], errors: Sequence[Any], wide: bool) -> tuple[list[Any], list[Any]]:
    p = eqn.params
    consts, carry, xs = scan_parts(eqn, values)
    of_consts, of_carry, of_xs = scan_parts(eqn, _filled(values, errors))

    def body(state, x):
        v, e = _evaluate(p["jaxpr"], [*consts, *state[0], *x[0]], [*of_consts, *state[1], *x[1]], wide)
        return (v[: len(carry)], e[: len(carry)]), (v[len(carry) :], e[len(carry) :])

    (vc, ec), (vy, ey) = jax.lax.scan(body, (carry, of_carry), (xs, of_xs), length=p["length"], reverse=p["reverse"])
    return [*vc, *vy], [*ec, *ey]


def _cond(eqn: Any, values: Sequence[Any], errors: Sequence[Any], wide: bool) -> tuple[list[Any], list[Any]]:
    operands, operand_errors = list(values[1:]), _filled(values, errors)[1:]
    branches = [lambda v, e, b=branch: _evaluate(b, v, e, wide) for branch in eqn.params["branches"]]
    return jax.lax.switch(values[0], branches, operands, operand_errors)
