"""The figure: loss curves of faulty rules that train beside right ones, and how many each checker lets pass."""

import numpy as np
from matplotlib.figure import Figure

from experiments.training import save_small

RIGHT, BAND, WRONG = "#2b6cb0", "#a3c4e0", "#c53030"
CHECKERS = {
    "accuracy": "accuracy below 95 %",
    "loss curve": "loss curve beside ten right ones",
    "ones-cotangent": "gradient of the sum",
    "check_grads, float32": "check_grads, float32",
    "check_grads, float64": "check_grads, float64",
    "verify": "verify",
}


def draw(result, right, wrong, path) -> None:
    figure = Figure(figsize=(8, 3.3), layout="constrained")
    curves, bars = figure.subplots(1, 2, width_ratios=(1, 1.15))
    lenet = np.array([run["losses"] for line in right if line["net"] == "lenet" for run in line["runs"]])
    epochs = np.arange(1, lenet.shape[1] + 1)
    passed = [
        line
        for line in wrong
        if line["net"] == "lenet"
        and line["rule"] in result["reach 95 %"]
        and all(loss is not None for run in line["runs"] for loss in run["losses"])
    ]
    for line in passed:
        mean = np.mean([run["losses"] for run in line["runs"]], axis=0)
        curves.semilogy(epochs, mean, color=WRONG, lw=0.6, label="faulty rules" if line is passed[0] else None)
    curves.fill_between(epochs, lenet.min(0), lenet.max(0), color=BAND, label=f"right, {len(lenet)} seeds")
    curves.legend(fontsize=8, loc="lower left")
    curves.set_xlabel("epochs")
    curves.set_ylabel("training loss of LeNet")
    curves.set_title(f"{len(passed)} faulty rules of LeNet that reach 95 %", fontsize=9)
    count = result["trained with a difference"]
    for k, (name, label) in enumerate(CHECKERS.items()):
        caught = result["caught"][name]
        bars.barh(k, caught, color=RIGHT)
        bars.barh(k, count - caught, left=caught, color=WRONG)
        bars.text(2, k, label, va="center", color="white", fontsize=8)
        bars.text(count + 2, k, str(count - caught), va="center", color=WRONG, fontsize=9, fontweight="bold")
    bars.invert_yaxis()
    bars.set(yticks=[], xlim=(0, 1.08 * count), xlabel="faulty rules")
    bars.spines[["top", "right", "left"]].set_visible(False)
    bars.set_title(f"{count} faulty rules: caught (blue), passed (red)", fontsize=9)
    save_small(figure, path, 32)
