"""What the drawings are put together from: cells of a matrix, arrows, frames; y goes downwards."""

import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

matplotlib.rcParams.update({"svg.hashsalt": "purecnn", "svg.fonttype": "path", "font.size": 10})
INK, PALE, FORWARD, BACKWARD = "#333333", "#f1f1f1", "#1f6fb4", "#d1495b"
HUES = ("#bcd9f2", "#f7d6a3", "#c9e7c3", "#f3c1c9")  # one a window


def canvas(width, height):
    """A figure of `width` × `height` cells, y downwards."""
    figure = Figure(figsize=(width * 0.42, height * 0.42))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return figure, axes


def write(axes, x, y, text, **style):
    axes.text(x, y, text, **{"ha": "center", "va": "center", "color": INK, **style})


def grid(axes, x, y, values, title="", fill=PALE, colour=INK):
    """A matrix with its upper left corner at (x, y); `fill` is a colour, or {(row, column): colour}."""
    values = np.asarray(values)
    for (row, column), value in np.ndenumerate(values):
        face = fill.get((row, column), PALE) if isinstance(fill, dict) else fill
        axes.add_patch(Rectangle((x + column, y + row), 1, 1, facecolor=face, edgecolor="white"))
        text = value if isinstance(value, str) else f"{value:g}".replace("-", "−")
        write(axes, x + column + 0.5, y + row + 0.5, text, color=colour)
    write(axes, x + values.shape[1] / 2, y - 0.45, title)


def arrow(axes, start, end, colour=FORWARD, bend=0.0):
    style = f"arc3,rad={bend}"
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=colour, connectionstyle=style))


def frame(axes, x, y, width, height, colour):
    axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=2))


def image(rows):
    return jnp.array(rows, jnp.float32)[None, :, :, None]


def squeezed(a):
    return np.asarray(a).squeeze()
