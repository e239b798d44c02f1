"""Running a flat function: its pullback, its oracle, compiled once, at a chosen dtype."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from verify.oracle.budget import ITERATIONS, unbounded, within_budget
from verify.oracle.error_bounds import with_error_bounds
from verify.oracle.primal import contains
from verify.report.finding import NotRunError
from verify.time_limit import timed

OWN = "own"  # run at the example's own dtypes
RULE = "rule"  # the program of the rule's own pullback
FORWARD = "forward mode"  # that of the oracle's pushforward
WIDE = np.dtype(np.float64)
UNOPTIMISED = "unoptimised"  # the attribute of a program that is
OPTIONS = "options"  # the attribute of those that XLA compiles it with
QUICK = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
ON_ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}
FOURIER = {"fft": ""}
JITTED = type(jax.jit(jnp.sin))
SMALL = 2000  # elements, up to which a program is run sooner than its optimisation is done


def is_float(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def of_perturbed(flat: Callable, arrays: Sequence[Any], perturbed: Sequence[int]) -> Callable:
    """`flat` as a function of the perturbed arrays alone, the others as they are."""

    def fun(*chosen):
        full = list(arrays)
        for n, a in zip(perturbed, chosen, strict=True):
            full[n] = a
        return flat(*full)

    return fun


def pullback(
    flat: Callable, perturbed: list[int], placed: Callable[[Any, Any], Any] = lambda given, output: given
) -> Callable:
    """(arrays, y_bar) -> (outputs, cotangents of the perturbed arrays), through JAX's own reverse mode. `placed`
    reshards a cotangent like its output."""

    def pull(arrays, y_bar):
        y, back = jax.vjp(of_perturbed(flat, arrays, perturbed), *[arrays[n] for n in perturbed])
        y = [o if hasattr(o, "dtype") else jnp.asarray(o) for o in y]  # `jax.checkpoint` makes a number of a constant
        pairs = zip((o for o in y if is_float(o)), y_bar, strict=True)  # in float64 an output may be pinned to float32
        given = iter([g if g.dtype == o.dtype else g.astype(o.dtype) for o, g in pairs])
        seeds = [placed(next(given), o) if is_float(o) else np.zeros(o.shape, jax.dtypes.float0) for o in y]
        return y, list(back(seeds))

    return pull


def pushforward(flat: Callable, perturbed: Sequence[int]) -> Callable:
    """(arrays, tangents) -> (floating outputs, their tangents), through JAX's own forward mode."""

    def push(arrays, tangents):
        fun = of_perturbed(lambda *args: [o for o in flat(*args) if is_float(o)], arrays, perturbed)
        return jax.jvp(fun, tuple(arrays[n] for n in perturbed), tuple(tangents))

    return push


def linearized(flat: Callable, perturbed: Sequence[int]) -> Callable:
    """The same through `jax.linearize`."""

    def push(arrays, tangents):
        fun = of_perturbed(lambda *args: [o for o in flat(*args) if is_float(o)], arrays, perturbed)
        values, along = jax.linearize(fun, *[arrays[n] for n in perturbed])
        return values, along(*tangents)

    return push


def measured_oracle(flat: Callable, perturbed: list[int], wide_sums: bool) -> Callable:
    pull = pullback(flat, perturbed)

    def oracle(arrays, y_bar):
        counts: list[int] = []

        def joined(*everything):
            y, bars = pull(everything[: len(arrays)], everything[len(arrays) :])
            counts.append(len(y))
            return [*y, *bars]

        values, errors = with_error_bounds(joined, wide_sums)(*arrays, *y_bar)
        n = counts[0]
        return (values[:n], values[n:]), ([e if e is not None else jnp.zeros(()) for e in errors[:n]], errors[n:])

    return oracle


def compiled(case: Any, key: str, dtype: Any, build: Callable[[], Callable], *, once: bool = False) -> Callable:
    """A jitted function kept for every case with the same options. The rule itself is compiled as the user's own
    programs are where the example runs at its own dtype; everything else quickly, the more quickly where the program is
    used `once` or is small."""
    name = (key, str(dtype), repr(sorted(case.options.items())))
    if name not in case.tested.compiled:
        as_users_do = dtype is OWN and case.example and key == RULE
        small = sum(np.size(a) for a in case.arrays) <= SMALL
        once = once or small or case.reshaped or not (dtype is OWN or np.dtype(dtype) == WIDE)
        case.tested.compiled[name] = jax.jit(build()) if as_users_do else quickly(build(), once=once)
    return case.tested.compiled[name]


def quickly(fun: Callable, *, once: bool = True) -> Callable:
    """`jax.jit` for checks, which spend most of their time compiling. On CPU, without XLA's fusion emitters and without
    splitting a small program into parts: that is two thirds of it, and the program is as fast. LLVM's first level of
    optimising makes a float64 convolution as fast as its third, in two thirds of the time; a program that runs but once
    goes without."""
    return _jitted(fun, QUICK | {"xla_backend_optimization_level": 0 if once else 1}, once)


def _jitted(fun: Callable, options: dict[str, Any], once: bool) -> Callable:
    run = jax.jit(fun, compiler_options=_supported(jax.default_backend(), tuple(options.items())))
    setattr(run, UNOPTIMISED, once)
    setattr(run, OPTIONS, options)
    return run


@functools.cache
def _supported(platform: str, options: tuple[tuple[str, Any], ...]) -> dict[str, Any] | None:
    if platform != "cpu":
        return None
    wanted = dict(options)
    return wanted if _known(wanted) else {k: v for k, v in wanted.items() if _known({k: v})} or None


def _known(options: dict[str, Any]) -> bool:
    """Whether this release knows the options."""
    try:
        jax.jit(lambda: jnp.zeros(()), compiler_options=options).lower().compile()
    except Exception:
        return False
    return True


def call(run: Callable, dtype: Any, *args: Any, products: str = "highest") -> Any:
    """Run at `dtype`, products at full precision unless told otherwise. Raises NotRunError where a loop of a jitted
    `run` does not end."""
    with widened(dtype), jax.default_matmul_precision(products):
        args = tuple(_converted(dtype, args))
        trace = getattr(run, "trace", None)
        program = trace(*args) if trace else None
        with timed(program.jaxpr if program else None):
            counted = _within_budget(program.jaxpr) if program else None
            if program is None or counted is None:
                alone = program is not None and isinstance(run, JITTED) and _holds_transforms(program.jaxpr)
                return _finite_if_anyhow(_on_one_thread(run) if alone else run, args)
            flat, ended = jax.block_until_ready(counted(*jax.tree.leaves(args)))
        if not ended:
            raise NotRunError(f"a loop did not end within {ITERATIONS:,} iterations")
        return jax.tree.unflatten(jax.tree.structure(program.out_info), flat)


def _finite_if_anyhow(run: Callable, args: Sequence[Any]) -> Any:
    """What `run` returns. Of a program without LLVM's optimisations, in which a number that occurs twice may be rounded
    in two ways, so that no entry is the maximum, only what is finite is taken; else the program is optimised."""
    results = jax.block_until_ready(run(*args))
    if not getattr(run, UNOPTIMISED, False) or finite(results) or not finite(args):
        return results
    return jax.block_until_ready(_optimised(run)(*args))


def finite(tree: Any) -> bool:
    """Whether all floating numbers in a tree of arrays are."""
    floats = [a for a in jax.tree_util.tree_leaves(tree) if is_float(a)]
    return all(bool(np.all(np.isfinite(np.asarray(a, WIDE)))) for a in floats)


@functools.lru_cache(maxsize=64)
def _optimised(run: Any) -> Callable:
    return _jitted(run.__wrapped__, getattr(run, OPTIONS, {}) | {"xla_backend_optimization_level": 1}, once=False)


@functools.lru_cache(maxsize=64)
def _on_one_thread(run: Any) -> Callable:
    """`run` with each operation on one thread: of two Fourier transforms that XLA:CPU runs at once, each may wait for
    threads that the other holds, and neither ends."""
    return _jitted(run.__wrapped__, getattr(run, OPTIONS, {}) | ON_ONE_THREAD, getattr(run, UNOPTIMISED, False))


@functools.lru_cache(maxsize=64)
def _holds_transforms(closed: Any) -> bool:
    return contains(closed, FOURIER)


@functools.lru_cache(maxsize=64)
def _within_budget(closed: Any) -> Callable | None:
    """The program with its loops counted, compiled once; None where no loop needs it."""
    if not unbounded(closed):
        return None
    counted = quickly(within_budget(closed))
    return _on_one_thread(counted) if _holds_transforms(closed) else counted


def traced(run: Any, dtype: Any, *args: Any) -> Any:
    """The jaxpr of a jitted function for the arguments of a `call`, which does not trace it again."""
    with widened(dtype), jax.default_matmul_precision("highest"):
        return run.trace(*_converted(dtype, args)).jaxpr


def in_words(closed: Any) -> tuple[str | bytes, ...]:
    """A program's text and the bits of its constants: where two have the same, one need not be compiled."""
    consts = [jax.random.key_data(c) if jnp.issubdtype(c.dtype, jax.dtypes.prng_key) else c for c in closed.consts]
    return (str(closed.jaxpr), *(np.asarray(c).tobytes() for c in consts))


def _converted(dtype: Any, args: tuple) -> list[list]:
    return [[np.asarray(a, WIDE) if _to_wide(a, dtype) else a for a in arg] for arg in args]


def _to_wide(array: Any, dtype: Any) -> bool:
    if dtype is OWN or np.dtype(dtype) != WIDE:
        return False
    return isinstance(array, np.ndarray | np.generic) and is_float(array)  # NumPy makes a generic of a 0-d result


@contextlib.contextmanager
def widened(dtype: Any):
    """Where the run in float64 is our doing, not the user's, allow float64 and let dtypes promote."""
    if dtype is OWN or np.dtype(dtype) != WIDE:
        yield
        return
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield
