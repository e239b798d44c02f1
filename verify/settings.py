"""Settings of JAX and of Python while a check runs, which are the caller's own afterwards."""

import contextlib
import gc
from collections.abc import Callable
from typing import Any

import jax

WIDER = ("float64", "int64", "f64", "i64")  # in the words of JAX, and of its shapes: weak_i64[]


@contextlib.contextmanager
def setting(name: str, value: Any):
    """One of JAX's settings for a while; nothing where this release does not know it."""
    if name not in jax.config.values:
        yield
        return
    before = jax.config.values[name]
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


@contextlib.contextmanager
def undisturbed():
    """JAX's settings for finding mistakes in a program are off: a check makes infinities and NaNs on purpose, compares
    what is compiled, gives one key to two calls and moves arrays to the device and back."""
    with contextlib.ExitStack() as stack:
        for find in (jax.debug_nans, jax.debug_infs, jax.debug_key_reuse, jax.check_tracer_leaks, jax.disable_jit):
            stack.enter_context(find(False))
        stack.enter_context(jax.transfer_guard("allow"))
        stack.enter_context(few_collections())
        yield


@contextlib.contextmanager
def few_collections():
    """Python looks for garbage less often: what JAX traces lives long, and looking through it was an eighth of a
    check's time."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], 50_000) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def unfiltered() -> Any:
    """Exceptions keep JAX's own frames: where one is expected and thrown away, filtering them is wasted time."""
    return setting("jax_traceback_filtering", "off")


def unoptimised() -> Any:
    """Operations run one by one, outside `jit`, are compiled one by one too: with little optimisation meanwhile."""
    return setting("jax_disable_most_optimizations", True)


def with_own_constants(run: Callable[[], Any]) -> Any:
    """`run()`, in which constants are of JAX's own default dtypes where wider ones do not fit, as those of a step whose
    carry is float32 by name, or lengths that must be int32."""
    try:
        return run()
    except Exception as error:
        if not any(wide in str(error) for wide in WIDER):
            raise  # a shape, for instance, that is refused with any constants
        with jax.enable_x64(False):
            return run()
