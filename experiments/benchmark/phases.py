"""What a shared machine does to each kind of work while others use it: round by round, slow rounds beside fast ones.

`python -m experiments.benchmark.phases [--rounds 40] [--out FILE]` times training steps, NumPy's matrix product and
copies by turns. A round is slow if the product takes more than 1.07 of what it takes in the fastest tenth of rounds.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from experiments.benchmark import with_jax
from experiments.benchmark.measure import turn
from experiments.benchmark.nets import NETS
from experiments.benchmark.page import print_table
from purecnn.backend import describe_hardware, keep_freed_memory

PRODUCT = "matrix product, 512×512"
SLOW = 1.07
TURN_S, PAUSE_S = 0.12, 1.0


def ways() -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((512, 512), np.float32)
    found: dict[str, Callable[[], object]] = {PRODUCT: lambda: matrix @ matrix}
    for megabytes in (4, 128):
        source = np.ones(megabytes << 18, np.float32)
        found[f"copy of {megabytes} MB"] = functools.partial(np.copyto, np.empty_like(source), source)
    for name in ("lenet", "cifar_cnn"):
        for library, made in (("purecnn", with_jax.purecnn_step), ("autodiff", with_jax.autodiff_step)):
            found[f"{name}, {library}"] = step = made(NETS[name])
            step.compile()
    return found


def rounds_of(ways: Mapping[str, Callable[[], object]], count: int, pause_s: float) -> Iterator[dict[str, float]]:
    """The milliseconds that each takes in a call, `count` times."""
    for _ in range(count):
        yield {name: 1e3 * turn(run, TURN_S) for name, run in ways.items()}
        time.sleep(pause_s)


def rows(rounds: Iterable[Mapping[str, float]]) -> Iterator[str]:
    """Each round, then what each kind of work takes in the slow ones, of its time in the others."""
    rounds = list(rounds)
    fastest = statistics.quantiles((r[PRODUCT] for r in rounds), n=10)[0]
    slow = [r for r in rounds if r[PRODUCT] > SLOW * fastest]
    fast = [r for r in rounds if r[PRODUCT] <= SLOW * fastest]
    yield f"| round | {' | '.join(rounds[0])} |"
    yield f"|---|{'---:|' * len(rounds[0])}"
    for number, each in enumerate(rounds, 1):
        yield f"| {number}{' (slow)' * (each in slow)} | {' | '.join(f'{ms:.2f}' for ms in each.values())} |"
    if slow and fast:
        ratios = [statistics.median(r[n] for r in slow) / statistics.median(r[n] for r in fast) for n in rounds[0]]
        yield f"| slow, of fast | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, help="write the table here")
    options = parser.parse_args()
    keep_freed_memory()
    head = [f"Milliseconds a call, on {describe_hardware()}.", ""]
    print_table(head, rows(rounds_of(ways(), options.rounds, PAUSE_S)), options.out)


if __name__ == "__main__":
    main()
