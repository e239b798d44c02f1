"""Extreme sizes: large windows, single large images.

`python -m experiments.benchmark.extremes [--out FILE]` compares values first, then compilation, temporaries and time
with those of `lax`: pooling with many offsets in a window, and w̄ of a few large images.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import jax

import purecnn
from experiments.benchmark.measure import taking_turns
from experiments.benchmark.nets import plain_conv, plain_pool
from experiments.benchmark.page import print_table
from experiments.comparing import largest_difference
from purecnn.backend import describe_hardware, keep_freed_memory

OURS, LAX = "purecnn", "lax"
WINDOWS = ((5, 1), (7, 1), (7, 7), (13, 1), (28, 28), (28, 1))  # window, stride
LARGE = (  # x, w
    ((1, 256, 256, 32), (7, 7, 32, 32)),
    ((2, 256, 256, 64), (5, 5, 64, 32)),
    ((1, 512, 512, 16), (3, 3, 16, 16)),
    ((2, 512, 512, 64), (3, 3, 64, 64)),
    ((4, 224, 224, 64), (3, 3, 64, 64)),
)


def row(name: str, ways: dict[str, Callable], args: tuple, rounds: int) -> str:
    """`name` | time, compilation and temporaries, ours and lax's, as a line of a Markdown table."""
    programs, seconds = {}, {}
    for way, function in ways.items():
        lowered = jax.jit(function).lower(*args)
        start = time.perf_counter()
        programs[way] = lowered.compile()
        seconds[way] = time.perf_counter() - start
    apart = largest_difference(programs[OURS](*args), programs[LAX](*args))
    assert apart < 1e-4, f"{name}: apart by {apart:.1e}"
    runs = {way: lambda p=p: jax.block_until_ready(p(*args)) for way, p in programs.items()}
    timed = taking_turns(runs, rounds, 0.1, base=LAX)
    megabytes = {way: p.memory_analysis().temp_size_in_bytes / 1e6 for way, p in programs.items()}
    cells = [f"{values[OURS]:.2f}, {values[LAX]:.2f}" for values in (seconds, megabytes)]
    cells.append(f"{timed[OURS].median_ms:.2f}, {timed[LAX].median_ms:.2f}")
    return f"| {name} | {' | '.join(cells)} | {timed[OURS].ratio:.2f} |"


def rows(rounds: int, windows=WINDOWS, large=LARGE):
    x = jax.random.normal(jax.random.key(0), (4, 56, 56, 16))
    for window, stride in windows:
        ours = jax.grad(lambda x, k=window, s=stride: (purecnn.max_pool2d(x, window=k, stride=s) ** 2).sum())
        plain = jax.grad(lambda x, k=window, s=stride: (plain_pool(x, k, s) ** 2).sum())
        yield row(f"max-pool {window}×{window}/{stride}, both passes", {OURS: ours, LAX: plain}, (x,), rounds)
    for x_shape, w_shape in large:
        x, w = jax.random.normal(jax.random.key(1), x_shape), jax.random.normal(jax.random.key(2), w_shape) / 30
        y_bar = jax.random.normal(jax.random.key(3), (*x_shape[:3], w_shape[3]))
        ways = {
            way: lambda x, w, y_bar, f=f, p=w_shape[0] // 2: jax.vjp(lambda w: f(x, w, padding=p), w)[1](y_bar)
            for way, f in {OURS: purecnn.conv2d, LAX: plain_conv}.items()
        }
        yield row(f"w̄ of {'×'.join(map(str, x_shape))}, {w_shape[0]}×{w_shape[1]}", ways, (x, w, y_bar), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="write the table here")
    options = parser.parse_args()
    keep_freed_memory()
    titles = ("", "compilation, s", "temporaries, MB", "time, ms", "of lax's time")
    head = [f"purecnn, then lax, on {describe_hardware()}.", "", f"| {' | '.join(titles)} |", "|---|---|---|---|---|"]
    print_table(head, rows(options.rounds), options.out)


if __name__ == "__main__":
    main()
