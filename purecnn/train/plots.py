"""The pictures of a run, drawn by matplotlib without a window or any global state."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from sklearn.metrics import confusion_matrix

from purecnn.train.weights import write_whole

COLOURS = {"train": "#1f6fb4", "val": "#d9541e"}
CELL, LARGEST = 0.45, 14.0  # inches: of one class in the confusion matrix, and of all of them together
COUNTED = 40  # classes, for the counts to be legible in their cells
LONGEST = 40  # characters of a name
NAMED = 100  # classes, for each to have its name beside it; of more only every so many-th has


def draw_curves(path: Path, metrics: list[dict[str, Any]], title: str) -> None:
    """Loss and accuracy over the epochs, of the images to train on and of those that validate."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [line["epoch"] for line in metrics]
    for axes, what, scale in ((left, "loss", 1), (right, "accuracy", 100)):
        for split, colour in COLOURS.items():
            if f"{split}_{what}" not in metrics[-1]:
                continue
            values = [scale * line[f"{split}_{what}"] for line in metrics]
            axes.plot(epochs, values, ".-", color=colour, label=f"{split}, {values[-1]:.4g} at the end")
        axes.set_xlabel("epoch")
        number_epochs(axes, epochs)
        axes.grid(alpha=0.3)
        axes.legend()
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("mean loss per image")
    plain_log(left)  # a loss falls by orders of magnitude; on a linear scale its end is one flat line
    right.set_ylabel("accuracy in %")
    right.ticklabel_format(axis="y", style="plain", useOffset=False)
    figure.suptitle(title)
    save_figure(path, figure, dpi=150)


def draw_confusion(
    path: Path, labels: np.ndarray, predictions: np.ndarray, classes: tuple[str, ...], title: str
) -> None:
    """Counts of every class predicted as every class; the colour is the share of the row, so rare classes show as well.

    Many classes are drawn smaller, without the counts.
    """
    counts = confusion_matrix(labels, predictions, labels=range(len(classes)))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = min(CELL, LARGEST / len(classes))
    size = 2.5 + cell * len(classes)
    ticks = range(0, len(classes), math.ceil(len(classes) / NAMED))
    names = [short(classes[tick], LONGEST) for tick in ticks]
    points = min(10, 50 * cell * ticks.step)
    aside = 0.6 * points / 72 * max(map(len, names))  # inches that the names take
    figure = Figure(figsize=(size + 0.8 + aside, size + aside), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts) if len(classes) <= COUNTED else ():
        how = {"color": "white" if share[row, column] > 0.5 else "black", "fontsize": 10 * cell / CELL}
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", **how)
    how = {"fontsize": points, "parse_math": False}
    axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 4 else 0, **how)
    axes.set_yticks(ticks, names, **how)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title, parse_math=False)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    save_figure(path, figure, dpi=150)


def save_figure(path: Path, figure: Figure, dpi: int) -> None:
    """As PNG, by `write_whole`: where the disk is full the error names the picture, and half of one is not left."""
    png = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a class may be called by any Unicode
        figure.savefig(png, dpi=dpi, format="png")
    write_whole(path, png.getvalue())


def plain_log(axes) -> None:
    """A y axis of positive values: logarithmic where they go over a wide range, its ticks written as 0.05 is."""
    values = np.concatenate([line.get_ydata() for line in axes.lines])
    if len(values) and values.min() > 0 and values.max() > 3 * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    else:
        axes.ticklabel_format(axis="y", style="plain", useOffset=False)


def number_epochs(axes, epochs: list[int]) -> None:
    """An x axis with whole numbers alone, also of one epoch."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)


def short(name: str, most: int = 14) -> str:
    """The name of a class in a picture. It is drawn with parse_math=False: text, not a formula, also with dollars."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
