"""One gradient per sample, by vmap over our rules: what it tells, what it is for, what it costs.

    python -m experiments.per_sample_gradients.run                    all parts, some three minutes
    python -m experiments.per_sample_gradients.run --part cost        one of them: noise, private, cost
    python -m experiments.per_sample_gradients.run --quick --out FOLDER

Predictions, written before the first run: the noise scale starts below the batch of 32 and grows more than tenfold;
clipping alone costs no accuracy, a noise multiplier of 1 some points and one of 4 most of them; vmap takes half of
autodiff's time, as in the benchmark, and a tenth of a loop's.
"""

import numpy as np
from matplotlib.figure import Figure

import purecnn
from experiments import training
from experiments.per_sample_gradients import cost, noise, private
from purecnn.backend import keep_freed_memory

NET = purecnn.models.lenet()
MULTIPLIERS = (0.0, 1.0, 2.0, 4.0)


def draw(scale: dict, trained: dict) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for row in scale["noise_scale"]:
        left.plot([b if b > 0 else np.nan for b in row], ".-", color="#1f6fb4", alpha=0.5)
    left.axhline(32, color="black", linewidth=0.8)
    left.annotate("the batch", (0, 32), va="bottom")
    left.set_yscale("log")
    left.set_xlabel("epochs trained")
    left.set_ylabel("noise scale in samples, one line a seed")
    rows = trained["rows"]
    names = [name.replace(", ", "\n") for name in rows]
    right.errorbar(names, [r["mean"] for r in rows.values()], [r["spread"] for r in rows.values()], fmt="o", capsize=3)
    right.tick_params(axis="x", labelsize=8)
    right.set_ylabel("test accuracy in %, mean and spread")
    return figure


def main(argv: list[str] | None = None) -> None:
    parser = training.options(__doc__, __file__)
    parser.add_argument("--part", choices=("noise", "private", "cost"), help="one part alone")
    options = parser.parse_args(argv)
    if options.quick:  # without the private nets, whose program takes long to compile
        parts = {
            "noise": lambda: noise.over_training(NET, 2, 1, 64),
            "cost": lambda: {"8×8, 16 samples": cost.cost(8, 16, 1, every_way=False)},
        }
    else:
        parts = {
            "noise": lambda: noise.over_training(NET, 5, 10, len(training.digits().train)),
            "private": lambda: private.train_privately(NET, 4, 15, MULTIPLIERS),
            "cost": lambda: {f"{size}×{size}, 128 samples": cost.cost(size, 128, 11) for size in (8, 28)},
        }
    training.run_parts(options, parts, ("noise", "private"), draw, "noise.png")


if __name__ == "__main__":
    keep_freed_memory()
    main()
