"""What do progress and logging cost of a LeNet step?

    python -m experiments.logging_cost.run

A run of the training loop, with everything that it says timed: the bar on a terminal that is 100 columns wide, the
line of each epoch, and metrics.jsonl. The share is of the time spent stepping, on digits, where a step is shortest.
"""

import io
import json
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from purecnn.backend import describe_hardware
from purecnn.train import loop, run
from purecnn.train.config import Config

EPOCHS = 20
spent = {"bar": 0.0, "epoch line": 0.0, "metrics.jsonl": 0.0}


def timed(what, function):
    def call(*args, **options):
        began = time.perf_counter()
        try:
            return function(*args, **options)
        finally:
            spent[what] += time.perf_counter() - began

    return call


def main() -> None:
    plain_bar = loop.progress_bar

    @contextmanager
    def progress_bar(console, *args):
        with plain_bar(console, *args) as (advance, say):
            yield timed("bar", advance), timed("epoch line", say)

    loop.progress_bar = progress_bar
    run.append_metrics = timed("metrics.jsonl", run.append_metrics)
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with tempfile.TemporaryDirectory() as scratch:
        config = Config(epochs=EPOCHS, steps_per_dispatch=8, run_dir=str(Path(scratch) / "run"), checkpoint_every=1e9)
        metrics = loop.train(loop.prepare(config), console).metrics
    steps = metrics[-1]["step"]
    stepping = sum(metrics[0]["step"] * config.batch_size / line["images_per_second"] for line in metrics)
    result = {
        "hardware": describe_hardware(),
        "steps": steps,
        "steps_per_dispatch": config.steps_per_dispatch,
        "ms_a_step": round(1e3 * stepping / steps, 3),
        "ms_of_logging_a_step": {what: round(1e3 * seconds / steps, 5) for what, seconds in spent.items()},
        "percent_of_a_step": round(100 * sum(spent.values()) / stepping, 2),
    }
    print(json.dumps(result, indent=2))
    Path(__file__).with_name("results").joinpath("cpu.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
