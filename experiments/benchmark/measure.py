"""Timing of several ways to do one thing: they take turns, round by round, in one process.

Each round begins with another way, and before each there is a pause: the threads of the one before wait for more work
on the processor for some milliseconds before they sleep, and would take a core from whoever comes next.
"""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BASE = "autodiff"
PAUSE_S = 0.02


@dataclass(frozen=True)
class Timing:
    """Of one way: the first call (compilation included), the median of the others, and of the ratios to the base, each
    ratio taken within a round."""

    first_s: float
    median_ms: float
    ratio: float | None


def taking_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, turn_s: float = 0.0, base: str = BASE
) -> dict[str, Timing]:
    """Time `ways`, functions without arguments that return once the work is done.

    A turn is one call; with `turn_s` as many in a row as take that long, as the steps of a training run are, after one
    that is not counted: the first after the pause finds threads asleep and arrays out of the cache.
    """
    first = {name: _seconds(run) for name, run in ways.items()}
    for run in ways.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in ways}
    gc.disable()
    try:
        order = list(ways)
        for n in range(rounds):
            first_up = n % len(order)
            for name in order[first_up:] + order[:first_up]:
                time.sleep(PAUSE_S)
                times[name].append(turn(ways[name], turn_s) if turn_s else _seconds(ways[name]))
    finally:
        gc.enable()
    return {
        name: Timing(
            first[name],
            1e3 * statistics.median(took),
            statistics.median(t / b for t, b in zip(took, times[base], strict=True)) if base in times else None,
        )
        for name, took in times.items()
    }


def turn(run: Callable[[], object], turn_s: float) -> float:
    """Seconds a call, of as many in a row as take `turn_s`, after one that is not counted."""
    run()
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < turn_s:
        run()
        calls += 1
    return (time.perf_counter() - start) / calls


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
