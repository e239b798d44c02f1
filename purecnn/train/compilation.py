"""Compiled programs kept on disk, so that a second run of the same shapes need not wait for the compiler."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.monitoring

WORTH_TUNING = 1e10
"""FLOPs of a step: with fewer it takes less time than launching its kernels, however these are chosen."""

_loaded: list[str] = []


def keep_compiled(folder: Path | None) -> None:
    """From now on, use `folder` as the cache of compiled programs; None: no cache."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        warnings.warn(f"compiled programs are not kept: {error}", RuntimeWarning, stacklevel=2)
        folder = None
    jax.config.update("jax_enable_compilation_cache", folder is not None)
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.monitoring.register_event_listener(_listen)


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
    """Jit `function`, call it once and forget it: on a CPU compiled in a fifth of the time, as for code that runs once.

    The numbers are those of `jax.jit(function)`: LLVM merges fewer instructions and reorders none. `result` is the
    sharding of what comes out.
    """
    lowered = jax.jit(function, out_shardings=result).lower(*args)
    if jax.default_backend() != "cpu":
        return lowered.compile()(*args)
    return lowered.compile(compiler_options={"xla_backend_optimization_level": "1"})(*args)


def _listen(event: str, **_) -> None:
    if event == "/jax/compilation_cache/cache_hits":
        _loaded.append(event)
