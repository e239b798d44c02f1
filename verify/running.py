"""Running a flat function: its pullback, its oracle, compiled once, at a chosen dtype."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.magnitude import with_magnitude

OWN = "own"  # run at the example's own dtypes
WIDE = np.dtype(np.float64)


def is_float(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def pullback(flat: Callable, perturbed: list[int]) -> Callable:
    """(arrays, y_bar) -> (outputs, cotangents of the perturbed arrays), through JAX's own reverse mode."""

    def pull(arrays, y_bar):
        def of_perturbed(*chosen):
            full = list(arrays)
            for n, a in zip(perturbed, chosen, strict=True):
                full[n] = a
            return flat(*full)

        y, back = jax.vjp(of_perturbed, *[arrays[n] for n in perturbed])
        given = iter(y_bar)
        seeds = [next(given) if is_float(o) else np.zeros(o.shape, jax.dtypes.float0) for o in y]
        return y, list(back(seeds))

    return pull


def measured_oracle(flat: Callable, perturbed: list[int], wide_sums: bool) -> Callable:
    pull = pullback(flat, perturbed)

    def oracle(arrays, y_bar):
        counts: list[int] = []

        def joined(*everything):
            y, bars = pull(everything[: len(arrays)], everything[len(arrays) :])
            counts.append(len(y))
            return [*y, *bars]

        values, errors = with_magnitude(joined, wide_sums)(*arrays, *y_bar)
        n = counts[0]
        return (values[:n], values[n:]), ([e if e is not None else jnp.zeros(()) for e in errors[:n]], errors[n:])

    return oracle


def compiled(case: Any, key: str, dtype: Any, build: Callable[[], Callable]) -> Callable:
    """A jitted function kept for every case with the same options. On CPU the compiler's optimiser is left out of all
    but the runs at the example's own dtype: checks run each program a few times, and compiling is most of the cost."""
    name = (key, str(dtype), repr(sorted(case.options.items())))
    if name not in case.subject.compiled:
        fast = jax.default_backend() == "cpu" and (dtype is not OWN or not case.example)
        options = {"xla_backend_optimization_level": 0} if fast else None
        case.subject.compiled[name] = jax.jit(build(), compiler_options=options)
    return case.subject.compiled[name]


def call(run: Callable, dtype: Any, *args: Any) -> Any:
    """Run at `dtype`, products at full precision."""
    with widened(dtype), jax.default_matmul_precision("highest"):
        return jax.block_until_ready(
            run(*[[np.asarray(a, WIDE) if _to_wide(a, dtype) else a for a in arg] for arg in args])
        )


def _to_wide(array: Any, dtype: Any) -> bool:
    return dtype is not OWN and np.dtype(dtype) == WIDE and isinstance(array, np.ndarray) and is_float(array)


@contextlib.contextmanager
def widened(dtype: Any):
    """Where the run in float64 is our doing, not the user's, allow float64 and let dtypes promote."""
    if dtype is OWN or np.dtype(dtype) != WIDE:
        yield
        return
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield
