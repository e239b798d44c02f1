"""Drawings of where entries go: copies of a kernel, blocks of pixels, phases of rows, tiles."""

import jax.numpy as jnp
import numpy as np
from cells import BACKWARD, FORWARD, HUES, INK, arrow, canvas, frame, grid, image, squeezed, write

import purecnn

ORANGE = "#e08e0b"


def transposed_convolution():
    x, w = image([[1, 2], [3, 0]]), jnp.array([[1.0, 2], [0, -1]])[:, :, None, None]
    four = {(i, j): HUES[2 * i + j] for i in range(2) for j in range(2)}
    figure, axes = canvas(20.5, 6)
    grid(axes, 0.6, 2.2, squeezed(x), "x", four)
    grid(axes, 3.8, 2.2, squeezed(w), "w")
    arrow(axes, (6.1, 3.2), (7.5, 3.2))
    copies = {(i, j): HUES[i // 2 * 2 + j // 2] for i in range(4) for j in range(4)}
    grid(axes, 7.8, 1.2, squeezed(purecnn.conv_transpose2d(x, w, stride=2)), "y, stride 2", copies)
    write(axes, 9.8, 5.6, "four copies of w, times x", fontsize=9)
    grid(axes, 14.6, 1.7, squeezed(purecnn.conv_transpose2d(x, w)), "y, stride 1", {(1, 1): HUES[1]})
    for i in range(2):
        for j in range(2):
            frame(
                axes, 14.6 + j + 0.06 * i, 1.7 + i + 0.06 * j, 1.94, 1.94, (FORWARD, BACKWARD, ORANGE, INK)[2 * i + j]
            )
    write(axes, 16.1, 5.6, "the copies overlap and add up", fontsize=9)
    return figure


def space_to_depth():
    figure, axes = canvas(20.5, 6.2)
    x, w, hues = [[1, 2, 0, 3, 4, 1]], [[1, 2, -1, 0]], (HUES[0], HUES[1], HUES[2])
    grid(axes, 0.6, 1.2, x, "x, stride 2", {(0, j): hues[j // 2] for j in range(6)})
    frame(axes, 0.6, 1.2, 3, 1, FORWARD)
    frame(axes, 2.63, 1.15, 2.97, 1.1, ORANGE)
    grid(axes, 0.6, 3.4, w, "w, and a zero", {(0, j): hues[j // 2] for j in range(4)})
    arrow(axes, (7.0, 1.7), (9.0, 1.7))
    arrow(axes, (7.0, 3.9), (9.0, 3.9))
    grid(
        axes,
        9.4,
        1.0,
        np.array(x).reshape(3, 2).T,
        "X: 2 channels, stride 1",
        {(a, j): hues[j] for a in range(2) for j in range(3)},
    )
    frame(axes, 9.4, 1.0, 2, 2, FORWARD)
    frame(axes, 10.43, 0.95, 1.97, 2.1, ORANGE)
    grid(axes, 9.4, 3.9, np.array(w).reshape(2, 2).T, "W", {(a, j): hues[j] for a in range(2) for j in range(2)})
    write(axes, 17, 1.7, "framed: what the\nfirst and the second\noutput read", fontsize=9)
    write(axes, 17, 4.2, "y = (5, 2)")
    return figure


def polyphase():
    figure, axes = canvas(20.5, 6)
    for o, (at, hue) in enumerate(((3.3, FORWARD), (5.3, ORANGE))):
        grid(axes, at, 1.0, [[f"ȳ{'₀₁'[o]}"]], fill=HUES[o])
        for i in range(3):
            arrow(axes, (at + 0.5, 2.05), (2.8 + 2 * o + i, 3.75), hue)
    grid(axes, 2.3, 3.8, [["0", "1", "2", "3", "4"]], fill={(0, j): HUES[2 + j % 2] for j in range(5)})
    write(axes, 4.8, 0.5, "windows of 3, stride 2")
    write(axes, 4.8, 5.3, "row 2 has two windows, row 1 has one", fontsize=9)
    for phase, title, terms in (
        (0, "phase 0: rows 0, 2, 4", ("window m at offset 0", "window m − 1 at offset 2")),
        (1, "phase 1: rows 1, 3", ("window m at offset 1",)),
    ):
        top = 1.0 + 2.7 * phase
        grid(axes, 9.6, top, [[f"{2 * m + phase}" for m in range(3 - phase)]], fill=HUES[2 + phase])
        write(axes, 13, top + 0.1, title, ha="left")
        for q, term in enumerate(terms):
            write(axes, 13, top + 0.8 + 0.65 * q, f"q = {q}: {term}", ha="left", fontsize=9)
    return figure


def depthwise():
    x, w = np.array([[1, 2, 3], [4, 0, 1]]), np.array([[1, 2], [3, -1]])
    figure, axes = canvas(21, 6.2)
    for channel, top in enumerate((1.2, 4.0)):
        hue, y = HUES[channel], [x[channel, i : i + 2] @ w[channel] for i in range(2)]
        grid(axes, 0.8, top, x[channel : channel + 1], f"x, channel {channel}", hue)
        frame(axes, 0.83, top + 0.03, 1.94, 0.94, FORWARD)
        frame(axes, 1.83, top - 0.03, 1.94, 1.06, ORANGE)
        for i, colour in enumerate((FORWARD, ORANGE)):
            grid(axes, 6.4 + 4.4 * i, top, x[channel : channel + 1, i : i + 2], f"offset {i}", hue)
            frame(axes, 6.4 + 4.4 * i, top, 2, 1, colour)
            write(axes, 9.0 + 4.4 * i, top + 0.5, f"· {w[channel, i]}".replace("-", "−"))
            write(axes, 9.9 + 4.4 * i, top + 0.5, "+" if i == 0 else "=")
        grid(axes, 15.4, top, [y], "y", hue)
    write(axes, 10.2, 5.8, "each channel by itself: two shifted copies of its row, times one number each", fontsize=9)
    return figure


def winograd():
    figure, axes = canvas(20.5, 7.4)
    grid(axes, 0.6, 0.8, [[""] * 6] * 6, "image")
    for colour, at in ((FORWARD, 0), (ORANGE, 2)):
        frame(axes, 0.6 + at + 0.03, 0.83, 3.94, 3.94, colour)
    write(axes, 3.6, 7.1, "tiles of 4×4, 2 apart", fontsize=9)
    arrow(axes, (6.8, 3.2), (8.0, 3.2))
    write(axes, 7.4, 2.7, "B", fontsize=9)
    grid(axes, 8.2, 1.2, [["·"] * 4] * 4, "16 products", HUES[2])
    arrow(axes, (12.4, 3.2), (13.6, 3.2))
    write(axes, 13.0, 2.7, "A", fontsize=9)
    grid(axes, 13.9, 2.2, [[""] * 2] * 2, "2×2 outputs", HUES[0])
    write(axes, 18.2, 3.2, "36 products\nby the plain sum", fontsize=9)
    write(axes, 10.2, 6.1, "each with G w,\nsummed over channels", fontsize=9)
    return figure
