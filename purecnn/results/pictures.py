"""Pictures of a run: the images its net is worst at, the first layer's kernels, the gradient norms."""

from __future__ import annotations

import math
import textwrap
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
RIGHT, WRONG = "#2a7d46", "#b3261e"


def draw_worst(path: Path, result: Evaluation, images: np.ndarray, title: str, *, count: int = 24) -> None:
    """The `count` images with the least probability in their true class, each with its true and predicted class."""
    worst = result.worst(count)
    figure, panels = _grid(len(worst), 1.9, 2.6)
    for axes, i in zip(panels, worst, strict=True):
        label, guess = result.labels[i], result.predictions[i]
        _show(axes, images[i])
        said = "right" if guess == label else f"predicted as {result.classes[guess]}"
        lines = [
            f"{result.classes[label]}: {result.confidence[i]:.1%}",
            f"{said}: {result.probabilities[i, guess]:.1%}",
        ]
        lines += [result.names[int(i)]] if result.names else []
        axes.set_title(
            "\n".join(textwrap.fill(line, ACROSS, max_lines=3, placeholder="…") for line in lines),
            fontsize=7,
            color=RIGHT if guess == label else WRONG,
            parse_math=False,
        )
    figure.suptitle(title, fontsize=10)
    save_figure(path, figure, dpi=120)


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
    images = kernel_images(kernels)
    figure, panels = _grid(len(images), 0.8, 0.8)
    for axes, image in zip(panels, images, strict=True):
        _show(axes, image)
    figure.suptitle(title, fontsize=10)
    save_figure(path, figure, dpi=120)


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


def _grid(count: int, width: float, height: float):
    """A figure of `count` panels of that many inches each, about as wide as high, and room for a title."""
    columns = max(math.ceil(math.sqrt(count * height / width)), 1)
    rows = max(math.ceil(count / columns), 1)
    figure = Figure(figsize=(max(columns * width, 4), rows * height + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    return figure, panels[:count]


def to_pixels(image: np.ndarray) -> np.ndarray:
    """(H, W, C), uint8 or in [0, 1] -> uint8, (H, W) grey or (H, W, 3); of other than 1 or 3 channels the mean."""
    image = to_float(image)
    image = image if image.shape[2] == 3 else image.mean(axis=2)
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def _show(axes, image: np.ndarray) -> None:
    axes.imshow(to_pixels(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
