"""w̄ of small images: XLA's convolution (the page) beside `wgrad_chunked`, in processor time and in wall time.

`python -m experiments.benchmark.small_w_bar [--out FILE]` compares values first. Processor time, of all threads, is
what a training step shares out between its layers, and what other programs on the machine change least.
"""

import argparse
import functools
import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import jax

from experiments.benchmark.kernels import PAGE, taken
from experiments.benchmark.page import print_table
from experiments.comparing import largest_difference
from purecnn.backend import describe_hardware, keep_freed_memory
from purecnn.geometry import conv_dims
from purecnn.kernels import conv_wgrad_chunked
from purecnn.layers import conv2d as page

BATCHES = (8, 64)
SMALL = ((4, 128, 128, 3), (7, 64, 64, 3), (8, 64, 64, 3), (8, 32, 32, 3), (14, 64, 64, 3), (16, 32, 32, 3))
FEW_CHANNELS = ((16, 16, 16, 3), (32, 16, 16, 3), (32, 8, 8, 3), (32, 8, 16, 3), (28, 8, 16, 5))
GEOMETRIES = tuple(
    (n, *one, 1, one[3] // 2) for n, one in itertools.product(BATCHES, (*SMALL, *FEW_CHANNELS))
)  # x's side, C, D, k
OTHERS = (
    *((16, 28, 32, 32, 3, 2, 1), (32, 8, 64, 64, 3, 2, 1), (32, 8, 32, 32, 4, 4, 0), (64, 16, 32, 64, 3, 2, 1)),
    *((32, 8, 64, 64, 5, 1, 2), (128, 8, 64, 64, 5, 1, 2), (32, 8, 16, 64, 3, 1, 1), (32, 8, 64, 16, 3, 1, 1)),
    *((32, 8, 32, 32, 3, 1, 0), (32, 8, 32, 32, 2, 1, 0), (32, 8, 32, 32, 3, 1, 2), (32, 8, 32, 32, 4, 1, 2)),
)


def row(geometry: tuple[int, ...], rounds: int = 3, turn_s: float = 0.03) -> str:
    """Of (batch, side, C, D, kernel, stride, padding)."""
    n, side, channels, features, k, stride, padding = geometry
    w_shape = (k, k, channels, features)
    dims = conv_dims("conv2d", (n, side, side, channels), w_shape, stride=stride, padding=padding)
    x = jax.random.normal(jax.random.key(0), (n, side, side, channels))
    y_bar = jax.random.normal(jax.random.key(1), (n, *dims.output, features))
    equations = {PAGE: page.weight_cotangent, "wgrad_chunked": conv_wgrad_chunked.weight_cotangent}
    ways = {way: functools.partial(jax.jit(functools.partial(f, dims=dims)), x, y_bar) for way, f in equations.items()}
    assert (apart := largest_difference(*(run() for run in ways.values()))) < 1e-4, apart
    times = [[seconds_a_call(run, turn_s) for run in ways.values()] for _ in range(rounds)]
    wall, processor = (statistics.median(a[i] / b[i] for a, b in times) for i in (0, 1))
    cells = [
        f"{n}×{side}×{side}×{channels} → {features}, {k}×{k}/{stride}, padding {padding}",
        f"{y_bar.nbytes / 2**20:.2f}",
    ]
    cells += [f"{processor:.2f}", f"{wall:.2f}", "page" if taken("weight_cotangent", dims) == PAGE else ""]
    return f"| {' | '.join(cells)} |"


def seconds_a_call(run: Callable[[], jax.Array], turn_s: float) -> tuple[float, float]:
    """Wall and processor time."""
    start, processor, calls = time.perf_counter(), time.process_time(), 0
    while calls == 0 or time.perf_counter() - start < turn_s:
        run().block_until_ready()
        calls += 1
    return (time.perf_counter() - start) / calls, (time.process_time() - processor) / calls


def rows(geometries: Iterable[tuple[int, ...]]) -> Iterator[str]:
    taken_ratios = []
    for geometry in geometries:
        yield (line := row(geometry))
        *_, processor, _, auto, _ = (cell.strip() for cell in line.split("|"))
        if auto:
            taken_ratios.append(float(processor))
    low, middle, high = min(taken_ratios), statistics.median(taken_ratios), max(taken_ratios)
    yield ""
    yield f"{len(taken_ratios)} layers take the page, in processor time {low:.2f} to {high:.2f}, median {middle:.2f}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the table here")
    options = parser.parse_args()
    keep_freed_memory()
    titles = ("w̄", "ȳ, MB", "processor time", "wall time", "auto")
    head = [f"The page's, of wgrad_chunked's, on {describe_hardware()}.", ""]
    head += [f"| {' | '.join(titles)} |", "|---|---:|---:|---:|---|"]
    print_table(head, rows((*GEOMETRIES, *OTHERS)), options.out)


if __name__ == "__main__":
    main()
