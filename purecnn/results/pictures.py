"""Pictures of a run: the images its net is worst at, the first layer's kernels, the gradient norms."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from purecnn.data.dataset import to_float
from purecnn.results.evaluation import Evaluation
from purecnn.results.trained import Trained
from purecnn.train.plots import number_epochs, plain_log, save_figure

ACROSS = 30  # characters beside each other over an image
LINE = 9  # points that one of these lines takes
RIGHT, WRONG = "#2a7d46", "#b3261e"


def draw_worst(path: Path, result: Evaluation, images: np.ndarray, title: str, *, count: int = 24) -> None:
    """The `count` images with the least probability in their true class, each with its true and predicted class."""
    worst, shown, texts = result.worst(count), [], []
    for i in worst:
        label, guess = result.labels[i], result.predictions[i]
        said = "right" if guess == label else f"predicted as {result.classes[guess]}"
        lines = [
            f"{result.classes[label]}: {result.confidence[i]:.1%}",
            f"{said}: {result.probabilities[i, guess]:.1%}",
        ]
        lines += [result.names[int(i)]] if result.names else []
        shown.append(images[i])
        texts.append(
            (
                "\n".join(textwrap.fill(line, ACROSS, max_lines=3, placeholder="…") for line in lines),
                RIGHT if guess == label else WRONG,
            )
        )
    _save_grid(path, title, shown, 1.7, texts)


def first_kernels(trained: Trained) -> np.ndarray | None:
    """The kernels of the first layer that has some, (kh, kw, in_channels, out_channels); None where they are no images.

    Behind a flattened image, the weights of a fully connected layer are images of that size.
    """
    w = next((np.asarray(leaf) for leaf in jax.tree.leaves(trained.params) if leaf.ndim > 1), None)
    if w is not None and w.ndim == 2 and w.shape[0] == math.prod(trained.metadata.input_shape):
        w = w.reshape(*trained.metadata.input_shape, -1)
    return w if w is not None and w.ndim == 4 else None


def kernel_images(kernels: np.ndarray, count: int = 96) -> list[np.ndarray]:
    """The first `count` of `kernels` (kh, kw, in_channels, out_channels) as images, each scaled by itself to [0, 1].

    Middle grey is 0. Three input channels are red, green and blue; of any other number the mean is shown.
    """
    kernels = kernels if kernels.shape[2] == 3 else kernels.mean(axis=2, keepdims=True)
    largest = np.maximum(np.abs(kernels).max(axis=(0, 1, 2)), np.finfo(kernels.dtype).tiny)
    return list(np.moveaxis(0.5 + 0.5 * kernels / largest, 3, 0)[:count])


def draw_filters(path: Path, kernels: np.ndarray, title: str) -> None:
    """What `kernel_images` makes of them."""
    _save_grid(path, title, kernel_images(kernels), 0.7)


def draw_gradients(path: Path, metrics: list[dict[str, Any]], title: str) -> None:
    """The gradient norm of every layer over the epochs, from the first layer, dark, to the last."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    names = list(metrics[-1]["gradient_norms"])
    epochs = [line["epoch"] for line in metrics]
    for name, colour in zip(names, colormaps["viridis"](np.linspace(0.05, 0.8, len(names))), strict=True):
        axes.plot(epochs, [line["gradient_norms"][name] for line in metrics], ".-", color=colour, label=name)
    plain_log(axes)
    axes.set_xlabel("epoch")
    axes.set_ylabel("gradient norm, mean of the epoch")
    number_epochs(axes, epochs)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", title="layer", fontsize=8)
    figure.suptitle(title)
    save_figure(path, figure, dpi=150)


def _save_grid(
    path: Path, title: str, images: Sequence[np.ndarray], side: float, texts: Sequence[tuple[str, str]] = ()
) -> None:
    """Images of at most `side` inches, about as many beside as below each other, each under its text in its colour.

    All are in one system of axes, in inches from the upper left: matplotlib takes 20 ms for each of these.
    """
    tall, broad = (side * length / max(images[0].shape[:2]) for length in images[0].shape[:2])
    lines = max((text.count("\n") + 1 for text, _ in texts), default=0)
    width, height = 0.2 + broad, 0.1 + tall + lines * LINE / 72
    columns = max(math.ceil(math.sqrt(len(images) * height / width)), 1)
    rows = math.ceil(len(images) / columns)
    wide, high = max(columns * width, 4), rows * height + 0.4
    figure = Figure(figsize=(wide, high))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for n, image in enumerate(images):
        centre, bottom = (n % columns + 0.5) * wide / columns, 0.3 + (n // columns + 1) * height
        place = (centre - broad / 2, centre + broad / 2, bottom, bottom - tall)
        axes.imshow(to_pixels(image), extent=place, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        if texts:
            text, colour = texts[n]
            how: Any = {"fontsize": 7, "ha": "center", "va": "bottom", "parse_math": False}
            axes.text(centre, bottom - tall - 0.03, text, color=colour, **how)
    axes.set_xlim(0, wide)
    axes.set_ylim(high, 0)
    figure.suptitle(title, fontsize=10, y=1 - 0.1 / high)
    save_figure(path, figure, dpi=120)


def to_pixels(image: np.ndarray) -> np.ndarray:
    """(H, W, C), uint8 or in [0, 1] -> uint8, (H, W) grey or (H, W, 3); of other than 1 or 3 channels the mean."""
    image = to_float(image)
    image = image if image.shape[2] == 3 else image.mean(axis=2)
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
