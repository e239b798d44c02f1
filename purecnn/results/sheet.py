"""A contact sheet: some images of every class, with its name, to check a data set by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from purecnn.data.dataset import Dataset, Split, describe_splits, to_float
from purecnn.train.plots import save_figure

ROWS, CLASSES = 20, 100  # classes below each other, and at most on one sheet
SIDE = 0.45  # inches an image takes


def draw_sheet(path: Path, data: Dataset, *, each: int) -> None:
    """`each` training images a class, evenly spaced among its own, in rows. A file that was there is replaced."""
    shown = min(len(data.classes), CLASSES)
    blocks = [range(start, min(start + ROWS, shown)) for start in range(0, shown, ROWS)]
    longest = max(len(_called(data, label)) for label in range(shown))
    width = len(blocks) * (each * SIDE + 0.3 + 0.075 * longest)
    _, rows, columns, _ = data.train.images.shape
    height = SIDE * min(max(rows / columns, 0.4), 2.5) * len(blocks[0]) + 0.6
    figure = Figure(figsize=(max(width, 6), height), layout="constrained")
    for axes, labels in zip(figure.subplots(1, len(blocks), squeeze=False)[0], blocks, strict=True):
        picture = mosaic(data.train, labels, each=each)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        step = picture.shape[0] / len(labels)
        names = [_called(data, label) for label in labels]
        # A name is text, not a formula, even with dollars in it.
        axes.set_yticks([step * (row + 0.5) for row in range(len(names))], names, parse_math=False)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.suptitle(describe(data), parse_math=False, fontsize=10)
    save_figure(path, figure, dpi=150)


def describe(data: Dataset) -> str:
    _, height, width, channels = data.train.images.shape
    kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
    return f"{data.name}: {describe_splits(data)}, {len(data.classes)} classes, {height}×{width} {kind}"


def mosaic(split: Split, labels: range, *, each: int) -> np.ndarray:
    """One row a class, `each` images wide, one pixel of white between; (H, W, 3) or (H, W), in [0, 1]."""
    _, height, width, channels = split.images.shape
    picture = np.ones((len(labels) * (height + 1), each * (width + 1), channels), np.float32)
    for row, label in enumerate(labels):
        members = np.flatnonzero(split.labels == label)
        chosen = members[np.unique(np.linspace(0, len(members) - 1, each).astype(int))] if len(members) else members
        for column, image in enumerate(to_float(split.images[chosen])):
            top, left = row * (height + 1), column * (width + 1)
            picture[top : top + height, left : left + width] = image
    return picture if channels == 3 else picture[..., 0]


def _called(data: Dataset, label: int) -> str:
    name = data.classes[label]
    return f"{name if len(name) <= 24 else name[:23] + '…'}  {int((data.train.labels == label).sum()):,}"
