"""Compiled programs kept on disk, so that a second run of the same shapes need not wait for the compiler."""

from __future__ import annotations

import functools
import glob
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.monitoring

from purecnn.backend import options_of_running_once
from purecnn.data.guards import memory_limit

WORTH_TUNING = 1e10
"""FLOPs of a step: with fewer it takes less time than launching its kernels, however these are chosen."""

_loaded: list[str] = []


def keep_compiled(folder: Path | None) -> None:
    """From now on, use `folder` as the cache of compiled programs; None: no cache."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"{error.filename}: {error.strerror}; --cache-dir names another folder"
        warnings.warn(f"compiled programs are not kept: {why}", RuntimeWarning, stacklevel=2)
        folder = None
    jax.config.update("jax_enable_compilation_cache", folder is not None)
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        _count_loaded()


@contextmanager
def damaged_removed(folder: Path | None) -> Iterator[None]:
    """Inside, what is kept in `folder` and cannot be read is removed when JAX warns of it.

    JAX compiles such a program anew, but writes over no file: it would warn of it, and compile, in every run. What
    cannot be written is said once.
    """
    show, said = warnings.showwarning, False

    def remove(message, *rest, **more) -> None:
        nonlocal said
        if unwritten := re.match(r"Error writing persistent compilation cache entry for '[^']+': (.*)", str(message)):
            if not said:  # the disk is full, or the folder another's: the same for every program
                show(f"compiled programs are not kept: {unwritten[1]}", *rest, **more)
            said = True
            return None
        damaged = re.match(r"Error reading persistent compilation cache entry for '([^']+)'", str(message))
        if damaged is None or folder is None:
            return show(message, *rest, **more)
        try:
            for file in folder.glob(f"{glob.escape(damaged[1])}-*"):  # which of them it was, JAX does not say
                file.unlink(missing_ok=True)
        except OSError:  # the folder is another's
            return show(message, *rest, **more)
        show(f"what was kept of the program {damaged[1]} is damaged and removed; it is compiled anew", *rest, **more)

    warnings.showwarning = remove
    try:
        yield
    finally:
        warnings.showwarning = show


def loaded_programs() -> int:
    """How many programs came from the folder so far."""
    return len(_loaded)


def compile_for(lowered: Any, *, deterministic: bool = False) -> Any:
    """Compile a program, a `jax.stages.Lowered`; on a GPU with options of its own, which no other program sees.

    A small one is compiled without autotuning: on an H100 that took 31 of 38 seconds for LeNet, more than it can save.
    `deterministic` leaves out operations whose sums are in another order every time.
    """
    if jax.default_backend() != "gpu":  # a CPU adds in one order
        return lowered.compile()
    options: dict[str, str | bool] = {"xla_gpu_deterministic_ops": deterministic}
    costs = lowered.cost_analysis() or {}
    if costs.get("flops", math.inf) < WORTH_TUNING:
        options["xla_gpu_autotune_level"] = "0"
    return lowered.compile(compiler_options=options)


def run_once(function: Any, *args: Any, result: Any = None) -> Any:
    """Jit `function`, call it once and forget it: compiled as for code that runs once. The numbers are those of
    `jax.jit(function)`. `result` is the sharding of what comes out. Raises MemoryError where that is more than the
    machine's memory: XLA on a CPU waits for it without end.
    """
    lowered = jax.jit(function, out_shardings=result).lower(*args)
    wanted = sum(math.prod(o.shape) * o.dtype.itemsize for o in jax.tree.leaves(lowered.out_info))
    if wanted > 2 * memory_limit() and jax.default_backend() == "cpu":
        raise MemoryError(f"{wanted / 1e9:,.0f} GB of weights and their optimiser's state")
    return lowered.compile(compiler_options=options_of_running_once())(*args)


@functools.cache
def _count_loaded() -> None:
    """Once in a process: JAX calls a listener as often as it was registered."""
    jax.monitoring.register_event_listener(_listen)


def _listen(event: str, **_) -> None:
    if event == "/jax/compilation_cache/cache_hits":
        _loaded.append(event)
