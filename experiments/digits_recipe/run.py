"""The best shipped recipe for the digits, and the default one, on the test images: ten seeds each.

    python -m experiments.digits_recipe.run            ten minutes on two idle cores
    python -m experiments.digits_recipe.run --quick --out DIR

Every run is that of the command line, from reading to its last epoch, in a folder of its own that is not kept.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from purecnn.backend import describe_hardware, keep_freed_memory
from purecnn.train import loop
from purecnn.train.compilation import keep_compiled
from purecnn.train.config import Config

RECIPES = {
    "purecnn train --model cifar_cnn --label-smoothing 0.1 --val-share 0": {
        "model": "cifar_cnn",
        "label_smoothing": 0.1,
        "val_share": 0.0,
    },
    "purecnn train --val-share 0": {"val_share": 0.0},
}
SEEDS = 10


def accuracies(options: dict, seeds: int) -> list[float]:
    """On the test images with the best weights, a run for every seed from 0."""
    found = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as scratch:
            config = Config(**options, seed=seed, run_dir=str(Path(scratch) / "run"), checkpoint_every=1e9)
            test = loop.train(loop.prepare(config), Console(quiet=True)).test
        assert test is not None
        found.append(test["test_accuracy"])
        print(f"seed {seed}: {found[-1]:.2%}", flush=True)
    return found


def draw(path: Path, found: dict[str, list[float]]) -> None:
    figure = Figure(figsize=(7, 1.2 + 0.6 * len(found)), layout="constrained")
    axes = figure.subplots()
    for row, accuracy in enumerate(found.values()):
        shares = [100 * share for share in accuracy]
        heights = [row + 0.1 * shares[:i].count(share) for i, share in enumerate(shares)]  # equal ones on each other
        axes.plot(shares, heights, "o", color="#1f6fb4", alpha=0.7)
        axes.plot([statistics.mean(shares)] * 2, [row - 0.2, row + 0.9], color="#d9541e")
    axes.axvline(99, color="grey", linestyle=":")
    axes.set_yticks(range(len(found)), list(found), parse_math=False, fontsize=8)
    axes.set_ylim(-0.5, len(found))
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("% of the test images right: a point a seed, a line for the mean", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, six epochs, the recipe alone")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"))
    args = parser.parse_args(arguments)
    recipes, seeds, more = dict(list(RECIPES.items())[: 1 if args.quick else None]), SEEDS, {}
    if args.quick:
        seeds, more = 1, {"epochs": 6}
    keep_freed_memory()
    result: dict = {"hardware": describe_hardware(), "seeds": seeds, "recipes": {}}
    with tempfile.TemporaryDirectory() as programs:
        if not args.quick:
            keep_compiled(Path(programs))
        found = {command: accuracies(options | more, seeds) for command, options in recipes.items()}
    for command, shares in found.items():
        mean = statistics.mean(shares)
        result["recipes"][command] = {
            "mean": mean,
            "standard_deviation": statistics.stdev(shares) if seeds > 1 else None,
            "least": min(shares),
            "test_accuracy": shares,
        }
        print(f"{command}: mean {mean:.2%}, least {min(shares):.2%}")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "test.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draw(args.out / "test.png", found)
    return result


if __name__ == "__main__":
    main()
