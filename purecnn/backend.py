"""The hardware, and whether JAX computes correct numbers on it.

On CPU, JAX 0.10.2 to 0.12.0.1 compile some matrix products fused with a sum into wrong numbers: a product with zeros
gives NaN or 1e30. Backward rules with a zero cotangent have this shape, so training is affected. An XLA flag, set
before JAX starts, repairs all of them. Whether a machine is affected is decided by computing such a product, not by a
list.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import re
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

FLAG = "--xla_cpu_experimental_ynn_fusion_type"
REPAIR = f"{FLAG}=-reduce"
# XLA aborts the process at an unknown flag. Outside these releases this flag may be unknown: older releases do not need
# it, and on newer ones the canary warns if they do.
FIRST_HIT, LAST_HIT = (0, 10, 2), (0, 12, 0, 1)

LESS_EFFORT: dict[str, Any] = {
    "xla_backend_optimization_level": 1,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


def repair_flag(jaxlib_version: str, xla_flags: str) -> str:
    """What XLA_FLAGS should be before JAX starts: `xla_flags`, with the repair if this release needs it.

    A value of this flag that is already set is not changed.
    """
    release = tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+]", jaxlib_version)[0]))
    if not FIRST_HIT <= release <= LAST_HIT or FLAG in xla_flags:
        return xla_flags
    return f"{xla_flags} {REPAIR}".strip()


def miscompiles() -> bool:
    """Compute the canary on the default backend: rows of E · 0, times E, summed. Anything but 0 is wrong."""
    with jax.ensure_compile_time_eval():  # also where the caller is being traced
        e = np.linspace(-1, 1, 64 * 300, dtype=np.float32).reshape(64, 300)
        sums = jax.jit(lambda e: ((e @ jnp.zeros((300, 300), e.dtype)) * e).sum(axis=1))(e)
        return not (np.asarray(sums) == 0).all()


@functools.cache
def warn_if_miscompiling() -> None:
    """Warn, once per process and with the fix, if the default backend is a CPU that computes wrong numbers."""
    if jax.default_backend() == "cpu" and miscompiles():
        warnings.warn(
            f"JAX {jax.__version__} computes wrong numbers on this CPU; set XLA_FLAGS={REPAIR} before Python starts, "
            "or install jax==0.10.1",
            RuntimeWarning,
            stacklevel=2,
        )


@functools.cache
def options_of_running_once() -> dict[str, Any] | None:
    """`compiler_options` for a program that runs once: on a CPU XLA compiles it in a fifth to a third of the time. None
    on other platforms; without what this release of XLA does not know. Numbers do not change by them: LLVM merges
    fewer instructions and reorders none."""
    if jax.default_backend() != "cpu":
        return None
    known = _known(LESS_EFFORT) or {name: value for name, value in LESS_EFFORT.items() if _known({name: value})}
    return known or None


def _known(options: dict[str, Any]) -> dict[str, Any] | None:
    try:
        jax.jit(lambda: jnp.zeros(()), compiler_options=options).lower().compile()
    except Exception:  # there is no such option
        return None
    return options


def keep_freed_memory() -> bool:
    """Have the C library keep freed memory of this process for its next allocation; whether it will.

    XLA on a CPU takes the temporary arrays of a step from the C library anew for every step. glibc gives large ones
    back to the system at once, which clears every page before it lends it again: up to a sixth of a LeNet step. What
    is kept stays the process's, at most the largest amount it had in use. A program decides this for itself, so
    `import purecnn` does not; `purecnn train` and the benchmark do.

    Call it before JAX computes anything: a thread that has taken memory before still takes arrays of 64 MB and more
    from the system (a step of `cifar_cnn` 166 ms instead of 142, autodiff's 255 instead of 199).
    """
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8  # malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # no glibc: musl, macOS, Windows
        return False
    settings = ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 64 << 20), (arena_max, 1))
    return all(mallopt(option, value) == 1 for option, value in settings)


def multiplies_bfloat16(device: Any) -> bool:
    """Whether matrix products in bfloat16 have hardware of their own: on TPUs, NVIDIA's GPUs from Ampere (8.0) on."""
    if device.platform == "tpu":
        return True
    found = re.fullmatch(r"(\d+)\.\d+", str(getattr(device, "compute_capability", "")))
    return device.platform == "gpu" and found is not None and int(found[1]) >= 8


def describe_hardware() -> str:
    """The hardware and versions, in one line, for every measurement."""
    device = jax.devices()[0]
    name = _cpu_name() if device.platform == "cpu" else f"{jax.device_count()} × {device.device_kind}"
    versions = f"{platform.system()}, Python {platform.python_version()}, JAX {jax.__version__}"
    return f"{name}, {usable_cores()} CPU cores, {versions}"


def _cpu_name() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def usable_cores() -> int:
    """The cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def missing_backend() -> str:
    """Which of the platforms that JAX is told to use it does not find, in one line; "" where it finds one."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0] if str(error) else "it finds none"
        return f"JAX_PLATFORMS: got {os.environ.get('JAX_PLATFORMS', '')!r}, expected what JAX has a device of: {why}"
    return ""
