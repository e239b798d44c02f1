"""Timing of several ways to do one thing: they take turns, round by round, in one process."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BASE = "autodiff"


@dataclass(frozen=True)
class Timing:
    """Of one way: the first call (compilation included), the median of the others, and of the ratios to `BASE`, each
    ratio taken within a round."""

    first_s: float
    median_ms: float
    ratio: float | None


def taking_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Time `ways`, functions without arguments that return once the work is done."""
    first = {name: _seconds(run) for name, run in ways.items()}
    for run in ways.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in ways}
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in ways.items():
                times[name].append(_seconds(run))
    finally:
        gc.enable()
    return {
        name: Timing(
            first[name],
            1e3 * statistics.median(took),
            statistics.median(t / b for t, b in zip(took, times[BASE], strict=True)) if BASE in times else None,
        )
        for name, took in times.items()
    }


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
