"""The drawings of the derivations: which output reads what, and where each cotangent goes.

    python docs/drawings/draw.py [FOLDER]

writes them as SVG, beside this file unless a folder is given. The numbers in them are those of each page's example,
computed here by the rules.
"""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from cells import BACKWARD, FORWARD, HUES, INK, PALE, arrow, canvas, frame, grid, image, squeezed, write
from curves import activations, gradient_descent, relu_and_sigmoid, upsampling_and_concatenation
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from positions import depthwise, polyphase, space_to_depth, transposed_convolution, winograd

import purecnn


def softmax_cross_entropy():
    logits, label = jnp.log(jnp.array([[1.0, 2, 5]])), jnp.array([1])
    _, residuals = purecnn.softmax_cross_entropy_fwd(logits, label)
    x_bar = squeezed(purecnn.softmax_cross_entropy_bwd(residuals, jnp.ones(1))[0])
    figure = Figure(figsize=(7, 2.3), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    bars = (squeezed(purecnn.softmax(logits)), np.array([0, 1, 0]), x_bar)
    titles = {"ŷ, predicted": FORWARD, "y, the label": INK, "x̄ = ŷ − y": BACKWARD}
    for panel, heights, (title, colour) in zip(panels, bars, titles.items(), strict=True):
        panel.bar([0, 1, 2], heights, color=colour, width=0.6)
        for i, height in enumerate(heights):
            label = f"{height:.3g}".replace("-", "−")
            panel.text(i, height, label, ha="center", va="bottom" if height >= 0 else "top", fontsize=9)
        panel.axhline(0, color=INK, linewidth=0.8)
        panel.set(title=title, xticks=[0, 1, 2], ylim=(-1, 1.25))
        panel.title.set_fontsize(10)
        panel.spines[["top", "right", "bottom"]].set_visible(False)
    return figure


def fully_connected():
    figure, axes = canvas(19, 6.4)
    for left, title, colour in (
        (0, "forward: y₁ depends on every input", FORWARD),
        (10, "backward: x₁ gets from every output", BACKWARD),
    ):
        back = colour == BACKWARD
        write(axes, left + 4.5, 0.5, title)
        for i in range(3):
            for k in range(2):
                bold = i == 1 if back else k == 1
                ends = ((left + 2.4, 1.9 + 1.6 * i), (left + 6.6, 2.7 + 1.6 * k))
                arrow(axes, *(ends[::-1] if back else ends), colour if bold else "#cccccc")
        for i in range(3):
            grid(axes, left + 1.2, 1.4 + 1.6 * i, [[f"{'x̄' if back else 'x'}{'₀₁₂'[i]}"]])
        for k in range(2):
            grid(axes, left + 6.8, 2.2 + 1.6 * k, [[f"{'ȳ' if back else 'y'}{'₀₁'[k]}"]])
    write(axes, 4.6, 6.0, "y₁ = x₀w₀₁ + x₁w₁₁ + x₂w₂₁", fontsize=9)
    write(axes, 14.6, 6.0, "x̄₁ = ȳ₀w₁₀ + ȳ₁w₁₁      w̄₁₁ = Σₙ x₁ȳ₁", fontsize=9)
    return figure


def max_pooling():
    x = image([[3, 2, 3, 1], [0, 5, 3, 4], [1, 2, 2, 2], [7, 3, 1, 7]])
    y, residuals = purecnn.max_pool2d_fwd(x)
    y_bar = image([[11, 12], [21, 22]])
    (x_bar,) = purecnn.max_pool2d_bwd(residuals, y_bar)
    windows = {(i, j): HUES[i // 2 * 2 + j // 2] for i in range(4) for j in range(4)}
    won = {place: hue for place, hue in windows.items() if squeezed(x_bar)[place]}
    outputs = {(i, j): HUES[2 * i + j] for i in range(2) for j in range(2)}
    figure, axes = canvas(20.5, 6)
    grid(axes, 0.5, 1.2, squeezed(x), "x", windows)
    for row, column in won:
        frame(axes, 0.55 + column, 1.25 + row, 0.9, 0.9, INK)
    arrow(axes, (4.8, 3.2), (6.2, 3.2))
    grid(axes, 6.5, 2.2, squeezed(y), "y", outputs)
    grid(axes, 11.5, 2.2, squeezed(y_bar), "ȳ", outputs, BACKWARD)
    arrow(axes, (13.8, 3.2), (15.2, 3.2), BACKWARD)
    grid(axes, 15.5, 1.2, squeezed(x_bar), "x̄", won, BACKWARD)
    write(axes, 10.2, 5.65, "framed: the winner of each window; its offset is the residual", fontsize=9)
    return figure


def average_pooling():
    _, residuals = purecnn.avg_pool2d_fwd(jnp.zeros((1, 3, 3, 1)), window=2, stride=1)
    y_bar = image([[4, 8], [12, 16]])
    (x_bar,) = purecnn.avg_pool2d_bwd(residuals, y_bar, window=2, stride=1)
    shares = [["1", "1+2", "2"], ["1+3", "1+2\n+3+4", "2+4"], ["3", "3+4", "4"]]
    figure, axes = canvas(18, 5.2)
    grid(
        axes,
        1,
        1.7,
        squeezed(y_bar),
        "ȳ",
        {(0, 0): HUES[0], (0, 1): HUES[1], (1, 0): HUES[2], (1, 1): HUES[3]},
        BACKWARD,
    )
    arrow(axes, (3.4, 2.7), (5.4, 2.7), BACKWARD)
    write(axes, 4.4, 2.2, "a quarter\neach", fontsize=8, va="bottom")
    for row, line in enumerate(shares):
        for column, text in enumerate(line):
            axes.add_patch(Rectangle((6 + 1.5 * column, 1 + 1.1 * row), 1.45, 1.05, facecolor=PALE))
            write(axes, 6.72 + 1.5 * column, 1.52 + 1.1 * row, text, fontsize=9, color=BACKWARD)
    for corner, hue in (((6, 1), FORWARD), ((7.5, 2.1), "#e08e0b")):
        frame(axes, *corner, 2.95, 2.15, hue)
    write(axes, 8.2, 4.75, "framed: what the first and the last window read", fontsize=9)
    arrow(axes, (10.9, 2.7), (12.9, 2.7), BACKWARD)
    grid(axes, 13.5, 1.2, squeezed(x_bar), "x̄", PALE, BACKWARD)
    return figure


def convolution():
    figure, axes = canvas(25, 8.6)
    write(axes, 5.2, 0.4, "which windows read x₁₁, and at which offset", color=FORWARD)
    names = [[f"w{'₀₁'[i]}{'₀₁'[j]}" for j in range(2)] for i in range(2)]
    for o in range(2):
        for p in range(2):
            left, top = 0.6 + 5.2 * p, 1.3 + 3.7 * o
            grid(axes, left, top, [["", "", ""], ["", "x₁₁", ""], ["", "", ""]], f"y{'₀₁'[o]}{'₀₁'[p]}")
            frame(axes, left + p, top + o, 2, 2, FORWARD)
            write(axes, left + 3.2, top + 1.5, f"{names[1 - o][1 - p]}", color=FORWARD, ha="left")
    x = image([[1, 2, 0], [0, 1, 3], [2, 1, 1]])
    w = jnp.array([[1.0, 2], [0, -1]])[:, :, None, None]
    _, residuals = purecnn.conv2d_fwd(x, w)
    y_bar = image([[1, 0], [2, -1]])
    x_bar = squeezed(purecnn.conv2d_bwd(residuals, y_bar)[0])
    write(axes, 18.2, 0.4, "laid on ȳ and its border: the kernel flipped (180°)", color=BACKWARD)
    border = np.pad(squeezed(y_bar), 1)
    grid(axes, 12.2, 2.4, border, "ȳ", {(i, j): HUES[3] for i in (1, 2) for j in (1, 2)})
    frame(axes, 13.2, 3.4, 2, 2, BACKWARD)
    grid(axes, 17.3, 2.4, squeezed(w), "w")
    arrow(axes, (19.5, 3.0), (19.5, 5.6), BACKWARD, -0.6)
    grid(axes, 17.3, 5.4, squeezed(w)[::-1, ::-1], "", HUES[3])
    grid(axes, 21.4, 2.9, x_bar, "x̄", {(1, 1): HUES[3]}, BACKWARD)
    terms = " + ".join(
        f"{a:g}·({b:g})" for a, b in zip(border[1:3, 1:3].ravel(), squeezed(w)[::-1, ::-1].ravel(), strict=True)
    )
    write(axes, 18.2, 8.0, f"x̄₁₁ = {terms} = {x_bar[1, 1]:g}".replace("-", "−"), fontsize=9)
    return figure


def im2col():
    x = image([[1, 2, 0], [0, 1, 3], [2, 1, 1]])
    rows = squeezed(purecnn.im2col(x, 2)).reshape(4, 4)
    figure, axes = canvas(20, 6)
    grid(axes, 0.8, 1.8, squeezed(x), "x")
    frame(axes, 0.8, 1.8, 2, 2, FORWARD)
    frame(axes, 1.83, 2.83, 1.94, 1.94, "#e08e0b")
    grid(
        axes, 7, 1.3, rows, "im2col(x): a row for each position", {(m, t): HUES[m] for m in range(4) for t in range(4)}
    )
    arrow(axes, (2.9, 1.9), (6.8, 1.8), FORWARD, -0.25)
    arrow(axes, (3.9, 4.4), (6.8, 4.8), "#e08e0b", 0.15)
    grid(axes, 12.6, 1.3, [[1], [2], [0], [-1]], "w")
    write(axes, 11.8, 3.3, "·")
    write(axes, 14.3, 3.3, "=")
    grid(axes, 15, 1.3, rows @ np.array([[1], [2], [0], [-1]]), "y", {(m, 0): HUES[m] for m in range(4)})
    write(axes, 17.9, 3.0, "x₁₁ = 1 is in\nall four rows;\ncol2im adds up\nits copies", fontsize=9)
    return figure


def chain():
    figure, axes = canvas(22, 6.2)
    for i, name in enumerate(("conv", "relu", "pool", "flatten", "fc", "loss")):
        left = 2.2 + 3.2 * i
        for top, colour, text in ((0.8, FORWARD, name), (4.3, BACKWARD, f"{name}_bwd")):
            axes.add_patch(Rectangle((left, top), 2.3, 1.1, facecolor="white", edgecolor=colour, linewidth=1.5))
            write(axes, left + 1.15, top + 0.55, text, fontsize=9)
        arrow(axes, (left - 0.85, 1.35), (left - 0.05, 1.35))
        arrow(axes, (left - 0.05, 4.85), (left - 0.85, 4.85), BACKWARD)
        write(axes, left - 0.45, 0.95, "x" if i == 0 else f"x{'₀₁₂₃₄₅'[i]}", fontsize=9)
        write(axes, left - 0.45, 5.3, "x̄" if i == 0 else f"x̄{'₀₁₂₃₄₅'[i]}", fontsize=9)
        arrow(axes, (left + 1.15, 1.95), (left + 1.15, 4.25), "#999999")
        if name in ("conv", "fc"):
            arrow(axes, (left + 1.15, 5.45), (left + 1.15, 6.0), BACKWARD)
            write(axes, left + 1.4, 5.85, "w̄, b̄", fontsize=9, ha="left")
    write(axes, 11.6, 3.1, "residuals", fontsize=9, color="#777777", backgroundcolor="white")
    for y, text, colour in ((1.35, "L", FORWARD), (4.85, "L̄ = 1", BACKWARD)):
        ends = ((20.55, y), (21.1, y))
        arrow(axes, *(ends if colour == FORWARD else ends[::-1]), colour)
        write(axes, 21.5, y - 0.45, text, fontsize=9)
    return figure


def alexnet():
    layers = [row for row in purecnn.models.alexnet().summary((224, 224, 3)).rows if row.weights]
    names = [f"conv{i}" for i in range(1, 6)] + [f"FC{i}" for i in range(6, 9)]
    figure = Figure(figsize=(7.4, 2.6), layout="constrained")
    panels = figure.subplots(1, 3)
    counts = (
        ("units, thousands", [np.prod(row.units) / 1e3 for row in layers]),
        ("weights, millions", [np.prod(row.weights[0]) / 1e6 for row in layers]),
        ("multiplications, millions", [row.flops / 2e6 for row in layers]),
    )
    for panel, (title, values) in zip(panels, counts, strict=True):
        bars = panel.barh(names, values, color=[FORWARD] * 5 + [BACKWARD] * 3)
        panel.bar_label(bars, fmt="%.3g", fontsize=8, padding=2)
        panel.invert_yaxis()
        panel.set(xticks=[], xlim=(0, 1.3 * max(values)))
        panel.set_title(title, fontsize=10)
        panel.spines[["top", "right", "bottom"]].set_visible(False)
    return figure


def normalisation_and_dropout():
    figure, axes = canvas(19, 5.2)
    names = ("batch norm", "LRN", "dropout")
    ways = ("itself, μ and v:\nevery entry of the channel", "its band of channels", "its own entry of the mask")
    reach = (lambda i, j: True, lambda i, j: abs(i - j) <= 1, lambda i, j: i == j)
    for panel, (name, way, reads) in enumerate(zip(names, ways, reach, strict=True)):
        left = 0.7 + 6.4 * panel
        write(axes, left + 2.5, 0.5, name)
        for i in range(5):
            dead = name == "dropout" and i in (1, 3)
            grid(axes, left + i, 1, [["ȳ"]], fill="#dddddd" if dead else PALE, colour=BACKWARD)
            grid(axes, left + i, 3.2, [["x̄"]], fill=HUES[3] if i == 2 else PALE, colour=BACKWARD)
            if reads(i, 2):
                arrow(axes, (left + i + 0.5, 2.05), (left + 2.5, 3.15), BACKWARD)
        write(axes, left + 2.5, 4.7, way, fontsize=9)
    return figure


DRAWINGS = (softmax_cross_entropy, fully_connected, relu_and_sigmoid, max_pooling, average_pooling, convolution, im2col)
DRAWINGS += (chain, alexnet, normalisation_and_dropout, activations, gradient_descent, upsampling_and_concatenation)
DRAWINGS += (transposed_convolution, space_to_depth, depthwise, polyphase, winograd)


def main(folder: Path) -> None:
    for drawing in DRAWINGS:
        drawing().savefig(folder / f"{drawing.__name__}.svg", facecolor="white", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
