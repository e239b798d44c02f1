"""One call of the rule, and the facts about it that checks ask for, each computed once.

A case holds NumPy values already rounded to the example's dtypes, so that the same numbers enter the float64 oracle
and the rule at its own precision, and whatever differs afterwards is the rule's doing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax.extend import core

from verify.function_under_test import FLOAT, PERTURBED, FunctionUnderTest, first_line
from verify.generate.domain import side_of_zero
from verify.oracle import integers, narrow, tensor_float
from verify.oracle.error_bounds import CONTRACTIONS
from verify.oracle.primal import equations
from verify.oracle.tolerance import smallest_normal, unit_roundoff
from verify.oracle.truth import GENEROUS, LONG_SUMS, Truth, uniform, widen
from verify.report.finding import NotRunError, Remembered
from verify.running import (
    OWN,
    RULE,
    WIDE,
    call,
    compiled,
    is_float,
    measured_oracle,
    pullback,
    quickly,
    traced,
    widened,
)


@dataclass(frozen=True)
class CallUnderTest:
    """A call: one array per array leaf of its arguments, options, and a cotangent per floating output.

    `y_bar` is None until the outputs' shapes are known; `with_cotangent` fills it.
    """

    tested: FunctionUnderTest
    label: str
    arrays: tuple[Any, ...]
    options: Mapping[str, Any]
    seed: int
    y_bar: tuple[np.ndarray, ...] = ()
    stress: bool = False  # saturating inputs: judged by how stable the rule is, not by its last digits
    example: bool = False
    reshaped: bool = False  # other shapes or options than the example's: running it at all means compiling
    long: bool = False  # reshaped, and compared at the example's own dtype alone

    @property
    def names(self) -> list[str]:
        return [self.tested.leaves[k].path for k in self.tested.perturbed]

    @property
    def perturbed(self) -> list[int]:
        """Positions, among `arrays`, of the leaves whose cotangents are checked."""
        return [n for n, k in enumerate(self.tested.arrays) if self.tested.leaves[k].kind == PERTURBED]

    def at(self, dtype: Any) -> list[Any]:
        """The arrays, floating ones cast to `dtype` (OWN leaves them)."""
        kinds = [self.tested.leaves[k].kind for k in self.tested.arrays]
        if dtype is OWN:
            return list(self.arrays)
        pairs = zip(self.arrays, kinds, strict=True)
        cast = [a.astype(dtype) if kind in (PERTURBED, FLOAT) else a for a, kind in pairs]
        return integers.as_literals(self.tested, self.options, cast) if np.dtype(dtype) == WIDE else cast

    def moved(self, arrays: list[Any]) -> "CallUnderTest":
        return replace(self, arrays=tuple(arrays))

    @Remembered
    def truth(self) -> Truth:
        """The oracle's answer. Raises NotRunError where the function cannot be differentiated."""
        fun = self.tested.oracle(self.options)
        if self.reshaped:
            (y, bars), size = self._both[1], LONG_SUMS if self.long else GENEROUS
            return Truth(widen(y), widen(bars), [uniform(a, size) for a in y], [uniform(a, size) for a in bars])
        return self._measured_truth(fun, wide_sums=False)

    @Remembered
    def truth_of_wide_sums(self) -> Truth:
        """The same, with the magnitudes of an evaluation whose sums are carried in a wider type."""
        return self._measured_truth(self.tested.oracle(self.options), wide_sums=True)

    @Remembered
    def measured(self) -> Truth:
        """The oracle's answer with magnitudes by error analysis, which costs a compilation at a new shape."""
        if not self.reshaped:
            return self.truth
        return self._measured_truth(self.tested.oracle(self.options), wide_sums=False)

    def _measured_truth(self, fun: Callable, wide_sums: bool) -> Truth:
        oracle = measured_oracle(fun, self.perturbed, wide_sums)
        once = wide_sums and not CONTRACTIONS & self.tested.primitives  # sooner run than optimised, of a long batch too
        run = compiled(self, f"truth {wide_sums}", WIDE, lambda: oracle, once=once)
        try:
            (y, bars), (y_err, bar_errs) = call(run, WIDE, self.at(WIDE), self.y_bar)
        except Exception as error:
            raise NotRunError(f"autodiff cannot differentiate the function ({first_line(error)})") from error
        return Truth(widen(y), widen(bars), widen(y_err), widen(bar_errs))

    @Remembered
    def _both(self) -> tuple[Any, Any]:
        """Rule and oracle in one program, for a new shape: half the compiling, as most of it is common to both. The
        oracle comes without the error analysis: a fault of geometry is no matter of the last digits."""
        oracle, count = pullback(self.tested.oracle(self.options), self.perturbed), len(self.perturbed)
        rule = self.trace[0] if self.long else self._wide_trace

        def both(arrays, y_bar):
            # Of a long case at its own dtypes, and never as constants, with which XLA would compute while it compiles.
            pairs = zip([*arrays, *y_bar], rule.in_avals, strict=True)
            given = [a if a.dtype == own.dtype else a.astype(own.dtype) for a, own in pairs]
            outs = core.jaxpr_as_fun(rule)(*given)
            return (outs[:-count], outs[-count:]), oracle(arrays, y_bar)

        try:
            return call(quickly(both), WIDE, self.at(WIDE), self.cotangent(WIDE, self.y_bar))
        except Exception as error:
            raise NotRunError(f"rule and oracle do not run together in float64 ({first_line(error)})") from error

    @cached_property
    def own(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Outputs and cotangents of the rule at the example's dtypes."""
        if self.long:
            return tuple([np.asarray(a) for a in part] for part in self._both[0])  # type: ignore[return-value]
        return self.pull(OWN, self.y_bar)

    @property
    def flushed(self) -> bool:
        """Numbers below the dtype's normal range: many backends take them for zero, so that a comparison with zero is
        decided otherwise than in float64, where they are ordinary numbers."""
        small = [np.abs(self.arrays[n]) for n in self.perturbed]
        return any(bool(np.any((a > 0) & (a < smallest_normal(a.dtype)))) for a in small)

    @property
    def on_the_boundary(self) -> bool:
        """Whether an argument that is positive in the example, or negative, holds a 0 here."""
        leaves = [self.tested.leaves[k] for k in self.tested.arrays]
        return any(side_of_zero(f.domain) and bool(np.any(a == 0)) for f, a in zip(leaves, self.arrays, strict=True))

    @cached_property
    def length(self) -> int:
        """How many equations the rule has, forward and backward: what compiling it costs."""
        return sum(1 for _ in equations(self.trace[0]))

    @cached_property
    def trace(self) -> tuple[Any, list[jax.ShapeDtypeStruct]]:
        """The rule's pullback at the example's dtypes as a jaxpr, and the shapes and dtypes of its cotangents."""
        run = pullback(self.tested.flat(self.tested.rule, self.options), self.perturbed)
        closed, (_, bars) = jax.make_jaxpr(run, return_shape=True)(list(self.arrays), list(self.y_bar))
        return closed, bars

    @Remembered
    def wide(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Outputs and cotangents of the rule run in float64. Raises NotRunError where it does not run in float64."""
        if self.long:
            raise NotRunError("compared at the example's dtype")
        if self.reshaped:
            return tuple([np.asarray(a) for a in part] for part in self._both[0])  # type: ignore[return-value]
        if self.tested.dtype == WIDE:
            return self.own
        try:
            return self.pull(WIDE, self.y_bar)
        except NotRunError:
            raise
        except Exception as error:
            raise NotRunError(f"the rule does not run in float64 ({first_line(error)})") from error

    @cached_property
    def narrowest(self) -> float:
        """The largest unit roundoff among the floating types the rule uses when run in float64: a rule that casts to
        float32 inside cannot be asked for float64's accuracy. Never coarser than the example's own dtype."""
        key = ("narrowest", repr(sorted(self.options.items())))
        if key not in self.tested.compiled:
            units = [unit_roundoff(WIDE), *narrow.roundoffs(self._wide_trace)]
            units += [tensor_float.ROUNDOFF] if len(units) > 1 and tensor_float.asked_for(self._wide_trace) else []
            self.tested.compiled[key] = max(units)
        return min(self.tested.compiled[key], self.own_unit)

    @property
    def own_unit(self) -> float:
        """The roundoff of the example's dtype; of TF32 where the rule asks for products in it on this backend; of what
        the function itself rounds to inside."""
        key = ("own unit", repr(sorted(self.options.items())))
        if key not in self.tested.compiled:
            in_tf32 = tensor_float.on_a_gpu() and self.tested.dtype == np.float32
            with jax.default_matmul_precision("highest"):
                in_tf32 = in_tf32 and tensor_float.asked_for(self.trace[0])
            inside = narrow.mixed(self.tested.oracle(self.options), self.arrays)
            own = tensor_float.ROUNDOFF if in_tf32 else unit_roundoff(self.tested.dtype)
            self.tested.compiled[key] = max(own, inside)
        return self.tested.compiled[key]

    @cached_property
    def _wide_trace(self) -> Any:
        """The jaxpr of the rule's pullback in float64."""
        flat = self.tested.flat(self.tested.rule, self.options)
        run = compiled(self, RULE, WIDE, lambda: pullback(flat, self.perturbed))
        return traced(run, WIDE, self.at(WIDE), self.cotangent(WIDE, self.y_bar))

    def pull(
        self, dtype: Any, y_bar: Any, fun: Callable | None = None, key: str = RULE, products: str = "highest"
    ) -> tuple[list, list]:
        """Outputs and cotangents of `fun` (default: the rule) at `dtype`, as NumPy arrays."""
        flat = self.tested.flat(self.tested.rule, self.options) if fun is None else fun
        run = compiled(self, key, dtype, lambda: pullback(flat, self.perturbed))
        y, bars = call(run, dtype, self.at(dtype), self.cotangent(dtype, y_bar), products=products)
        return [np.asarray(a) for a in y], [np.asarray(a) for a in bars]

    def cotangent(self, dtype: Any, y_bar: Any) -> list[np.ndarray]:
        """`y_bar` in the dtypes that the outputs have when the inputs are at `dtype`."""
        if dtype is not OWN and np.dtype(dtype) == WIDE:
            return [np.asarray(y, WIDE) for y in y_bar]
        with widened(dtype):
            outs = float_outputs(self.tested, self.options, self.at(dtype))
        return [np.asarray(y).astype(o.dtype) for y, o in zip(y_bar, outs, strict=True)]

    def value(
        self, arrays: list[Any], fun: Callable | None = None, key: str = "value", through: Callable = call
    ) -> list[np.ndarray]:
        """The floating outputs of `fun` (default: the reference, or the rule) at these float64 arrays."""
        flat = self.tested.flat(fun or self.tested.reference or self.tested.rule, self.options)
        run = compiled(self, key, WIDE, lambda: lambda arrays: [o for o in flat(*arrays) if is_float(o)])
        return [np.asarray(o, WIDE) for o in through(run, WIDE, arrays)]


def float_outputs(tested: FunctionUnderTest, options: Mapping[str, Any], arrays: Sequence[Any]) -> list[Any]:
    """Shape and dtype of the rule's floating outputs."""
    return [o for o in outputs(tested, options, arrays) if is_float(o)]


def outputs(tested: FunctionUnderTest, options: Mapping[str, Any], arrays: Sequence[Any]) -> list[Any]:
    """Shape and dtype of all its outputs; traced once for each shape and dtype of the arguments."""
    key = ("outputs", repr(sorted(options.items())), tuple((a.shape, str(a.dtype)) for a in arrays))
    if key not in tested.compiled:
        tested.compiled[key] = jax.eval_shape(tested.flat(tested.rule, options), *arrays)
    return tested.compiled[key]


def with_cotangent(case: CallUnderTest, rng: np.random.Generator) -> CallUnderTest:
    """The case with a random normal cotangent, rounded to the outputs' dtype. Raises what the call raises."""
    outs = float_outputs(case.tested, case.options, case.arrays)
    return replace(case, y_bar=tuple(np.asarray(rng.standard_normal(o.shape)).astype(o.dtype) for o in outs))
