"""Compiled programs kept on disk, so that a second run of the same shapes need not wait for the compiler."""

from __future__ import annotations

import warnings
from pathlib import Path

import jax
import jax.monitoring

_loaded: list[str] = []


def keep_compiled(folder: Path | None) -> None:
    """From now on, keep what XLA compiles in `folder`, and take from there what is kept; None: neither."""
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


def _listen(event: str, **_) -> None:
    if event == "/jax/compilation_cache/cache_hits":
        _loaded.append(event)
