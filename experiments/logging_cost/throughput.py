"""What share of the rate of a bare step does the training tool reach, for a set on the device?

    python -m experiments.logging_cost.throughput            two minutes; results/throughput.json
    python -m experiments.logging_cost.throughput --quick

An epoch of the tool and as many bare steps take turns in one process: bare is the same jitted step, called in a loop
on batches that are on the device, and waited for at the end. The tool also takes its batches out of the set, reads
every loss, draws the bar, and at an epoch's end writes weights and metrics. Images are generated; none is evaluated.
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from purecnn.backend import describe_hardware, keep_freed_memory
from purecnn.data.dataset import Dataset, Split
from purecnn.train import loop
from purecnn.train.config import Config
from purecnn.train.objectives import training_objective
from purecnn.train.plan import Plan
from purecnn.train.step import NORMS_EVERY, initial_state, training_step

SETS = {"lenet": (12_800, 28, 28, 1), "cifar_cnn": (3_200, 32, 32, 3)}
EPOCHS = 6  # of which the first is not counted


def bare(plan: Plan):
    """A function that takes as many steps as an epoch has, and returns the seconds."""
    config, data = plan.config, plan.data
    step = training_step(
        plan.net,
        training_objective(config, data),
        plan.optimizer,
        plan.augment,
        jnp.dtype(config.precision),
        NORMS_EVERY,
    )
    step = jax.jit(step, donate_argnums=0)
    size = config.batch_size
    images, labels = (
        array[: 4 * size].reshape(4, size, *array.shape[1:]) for array in (data.train.images, data.train.labels)
    )
    batches = [jax.device_put(each) for each in zip(images, labels, strict=True)]
    now = initial_state(plan.net, plan.optimizer, plan.metadata.input_shape, config.seed)

    def epoch() -> float:
        nonlocal now
        began = time.perf_counter()
        for number in range(plan.steps_per_epoch):
            now, _ = step(now, *batches[number % len(batches)])
        jax.block_until_ready(now)
        return time.perf_counter() - began

    epoch()
    return epoch


def measure(model: str, shape: tuple[int, ...], epochs: int) -> dict:
    rng = np.random.default_rng(0)
    labels = (np.arange(shape[0]) % 10).astype(np.int32)
    data = Dataset("made up", Split(rng.integers(0, 256, shape, np.uint8), labels), None, tuple("0123456789"))
    tool, stepping, alone = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = str(Path(scratch) / "run")
        config = Config(model=model, batch_size=128, epochs=epochs, run_dir=run_dir, checkpoint_every=1e9)
        plan = loop.prepare(config, data=data)
        reference = bare(plan)
        began = 0.0

        def on_epoch(line):
            nonlocal began
            tool.append(time.perf_counter() - began)
            stepping.append(plan.steps_per_epoch * config.batch_size / line["images_per_second"])
            alone.append(reference())
            began = time.perf_counter()

        loop.train(plan, Console(file=io.StringIO(), force_terminal=True, width=100), on_epoch=on_epoch)
    shares = {"whole epochs": tool, "while stepping": stepping}
    return {
        "steps in an epoch": plan.steps_per_epoch,
        "bare: ms a step": round(1e3 * statistics.median(alone[1:]) / plan.steps_per_epoch, 2),
        "the tool's share of the bare rate": {
            what: round(statistics.median(a / t for a, t in zip(alone[1:], times[1:], strict=True)), 3)
            for what, times in shares.items()
        },
    }


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small net on small images, a few steps")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results") / "throughput.json")
    args = parser.parse_args(arguments)
    keep_freed_memory()
    sets, epochs = ({"mlp": (512, 8, 8, 1)}, 2) if args.quick else (SETS, EPOCHS)
    result: dict = {"hardware": describe_hardware(), "batch": 128}
    for model, shape in sets.items():
        result[model] = measure(model, shape, epochs)
        print(model, json.dumps(result[model], indent=2), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    main()
