"""The pictures of a run, drawn by matplotlib without a window or any global state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import confusion_matrix

TRAIN, TEST = "#1f6fb4", "#d9541e"


def draw_curves(path: Path, metrics: list[dict[str, Any]], title: str) -> None:
    """Loss and accuracy over the epochs, on the training and the test images."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in metrics]
    for axes, what, scale in ((left, "loss", 1), (right, "accuracy", 100)):
        for split, colour in (("train", TRAIN), ("test", TEST)):
            values = [scale * line[f"{split}_{what}"] for line in metrics]
            axes.plot(epochs, values, ".-", color=colour, label=f"{split}, {values[-1]:.4g} at the end")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("mean loss per image")
    left.set_yscale("log")  # a loss falls by orders of magnitude; on a linear scale its end is one flat line
    right.set_ylabel("accuracy in %")
    figure.suptitle(title)
    figure.savefig(path, dpi=150)


def draw_confusion(
    path: Path, labels: np.ndarray, predictions: np.ndarray, classes: tuple[str, ...], title: str
) -> None:
    """Counts of every class taken for every class; the colour is the share of the row, so rare classes show as well."""
    counts = confusion_matrix(labels, predictions, labels=range(len(classes)))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.5 + 0.45 * len(classes)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            axes.text(
                column, row, count, ha="center", va="center", color="white" if share[row, column] > 0.5 else "black"
            )
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    figure.savefig(path, dpi=150)
