"""Drawings of functions of one number: what a layer computes, and its slope."""

import jax.numpy as jnp
import numpy as np
from cells import BACKWARD, FORWARD, INK, squeezed
from matplotlib.figure import Figure

import purecnn


def panels(count, height=2.4, **options):
    figure = Figure(figsize=(7, height), layout="constrained")
    found = figure.subplots(1, count, **options)
    for panel in found:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, found


def relu_and_sigmoid():
    figure, (left, right) = panels(2)
    x = np.linspace(-4, 4, 65)
    left.plot(x, np.maximum(x, 0), color=FORWARD, label="relu")
    for part in (x[x < 0], x[x > 0]):
        left.plot(part, (part > 0).astype(float), color=BACKWARD, label="slope" if part[0] < 0 else None)
    left.plot([0, 0], [0, 1], color=BACKWARD, linestyle=":", label="at 0: a convention")
    sigmoid = np.asarray(purecnn.sigmoid(jnp.asarray(x, jnp.float32)))
    right.plot(x, sigmoid, color=FORWARD, label="σ(x)")
    right.plot(x, sigmoid * sigmoid[::-1], color=BACKWARD, label="slope σ(x) σ(−x), at most ¼")
    for panel in (left, right):
        panel.legend(frameon=False, fontsize=9)
    right.set_ylim(0, 1.3)
    return figure


def activations():
    figure, (left, right) = panels(2, 2.8)
    x = jnp.linspace(-4, 4, 129)
    for name, colour in (("tanh", "#999999"), ("silu", FORWARD), ("hard_swish", "#e08e0b"), ("gelu", BACKWARD)):
        y, residuals = getattr(purecnn, f"{name}_fwd")(x)
        (slope,) = getattr(purecnn, f"{name}_bwd")(residuals, jnp.ones_like(x))
        left.plot(x, y, color=colour, label=name.replace("_", " "))
        right.plot(x, slope, color=colour)
    left.set_title("y", fontsize=10)
    right.set_title("slope: negative, and above 1, somewhere", fontsize=10)
    left.legend(frameon=False, fontsize=9)
    right.axhline(0, color=INK, linewidth=0.6)
    return figure


def gradient_descent():
    figure, found = panels(3, 2.2, sharey=True)
    for panel, rate, what in zip(found, (0.1, 0.2, 0.3), ("one step", "to and fro", "diverges"), strict=True):
        w = np.linspace(-2.2, 3.4, 65)
        panel.plot(w, (w - 1) ** 2 + (2 * w - 1) ** 2, color=FORWARD)
        steps = [0.0]
        for _ in range(2):
            steps.append(steps[-1] - rate * 10 * (steps[-1] - 0.6))
        steps = np.array(steps)
        panel.plot(steps, (steps - 1) ** 2 + (2 * steps - 1) ** 2, "o-", color=BACKWARD, markersize=4, linewidth=1)
        panel.set_title(f"γ = {rate}: {what}", fontsize=10)
        panel.set(xlabel="w", xlim=(-2.3, 3.5), ylim=(-1, 31))
    found[0].set_ylabel("L")
    return figure


def upsampling_and_concatenation():
    figure, found = panels(2, 2.2, sharey=True)
    for panel, method in zip(found, ("nearest", "bilinear"), strict=True):
        y = squeezed(purecnn.upsample2d(jnp.array([0.0, 8]).reshape(1, 2, 1, 1), (2, 1), method=method))
        panel.plot([0, 0.5, 1.5, 2] if method == "bilinear" else [0, 1, 1, 2], [0, 0, 8, 8], color="#bbbbbb")
        panel.plot(
            [0.5, 1.5], [0, 8], "s", color=INK, markersize=9, fillstyle="none", label="x, in the middle of its cell"
        )
        panel.plot([0.25, 0.75, 1.25, 1.75], y, "o", color=FORWARD, label="y, scale 2")
        for at, value in zip((0.25, 0.75, 1.25, 1.75), y, strict=True):
            panel.annotate(f"{value:g}", (at, value), (0, 6), textcoords="offset points", ha="center", fontsize=9)
        panel.set_title(method, fontsize=10)
        panel.set(xticks=[0, 1, 2], ylim=(-1, 10.5))
    found[1].legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.02, 0.02))
    return figure
