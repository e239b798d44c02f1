"""The run's pictures: accuracies and angles of the rules, and guided back-propagation as it is usually applied."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.other_backward_rules.rules import lenet
from experiments.training import save_small


def plot(result, layers, path) -> None:
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    others = [rule for rule in result["rules"] if rule != "true"]
    panels = figure.subplots(1, len(others), sharey=True, squeeze=False)[0]
    for panel, rule in zip(panels, others, strict=True):
        row = result["rules"][rule]
        seen = np.array([run["degrees"] for run in row["runs"] if run["degrees"] is not None])
        for k, layer in enumerate(layers):
            panel.plot(seen.mean(0)[:, k], color=f"C{k}", label=layer)
            panel.fill_between(
                range(seen.shape[1]), seen[..., k].min(0), seen[..., k].max(0), color=f"C{k}", alpha=0.15
            )
        panel.axhline(90, color="grey", lw=0.8, ls=":")
        title = rule.replace("the same, ", "feedback alignment,\n").replace("guided", "guided ReLU")
        panel.set_title(f"{title}\n{100 * row['accuracy']:.1f} %", fontsize=8)
        panel.set_xlabel("epochs", fontsize=8)
        panel.tick_params(labelsize=7)
    panels[0].set_ylabel("degrees from the true gradient", fontsize=8)
    panels[-1].legend(fontsize=6, loc=(0.2, 0.07))
    save_small(figure, path, 64)


def saliency(params, images, labels, path) -> None:
    """What the score of the right class says of every pixel: the gradient, and the same list with guided ReLUs."""
    chosen = np.array([int(np.flatnonzero(np.asarray(labels) == digit)[0]) for digit in (0, 3, 5, 8)])
    x, y_bar = images[chosen], jax.nn.one_hot(labels[chosen], 10)

    @jax.jit
    def sensitivities(params):
        nets = lenet("true"), lenet("guided")
        return [net.backward(net.forward(params, x)[2], y_bar)[0] for net in nets]

    rows = [x, *sensitivities(params)]
    figure = Figure(figsize=(4.4, 3.4), layout="constrained")
    for axes, pictures, title in zip(
        figure.subplots(3, len(chosen)), rows, ("image", "gradient", "guided"), strict=True
    ):
        for panel, picture in zip(axes, pictures[..., 0], strict=True):
            most = float(jnp.abs(picture).max())
            panel.imshow(picture, cmap="RdBu_r", vmin=-most, vmax=most)
            panel.set(xticks=[], yticks=[])
        axes[0].set_ylabel(title, fontsize=9)
    figure.savefig(path, dpi=100)
