"""Does the convention at a kink matter for training: at ReLU's zero, and where a pool's entries tie?

    python -m experiments.kink_conventions.run                    some four minutes
    python -m experiments.kink_conventions.run --quick --out FOLDER

Predictions, written before the first run: biases start at zero and images have black borders, so that the first step
meets exact zeros and the slope changes b̄ of the convolutions there; afterwards zeros are rare in float32. Most ties are
of zeros that ReLU made, and ReLU's own rule stops what the pool sends them. Ties above zero are rare in float32 and
common in bfloat16. No convention changes the accuracy by more than nudging one weight by its last bit does.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from scipy.stats import ttest_rel

import purecnn
from experiments import training
from purecnn.backend import keep_freed_memory
from purecnn.layers.max_pool2d import TIES

USUAL = "slope 0, first"
# Slope at zero, ties, and whether the last bit of one weight is changed before training.
CONVENTIONS = {
    USUAL: (0.0, "first", False),
    "slope ½": (0.5, "first", False),
    "slope 1": (1.0, "first", False),
    "ties last": (0.0, "last", False),
    "ties split": (0.0, "split", False),
    "ties all": (0.0, "all", False),
    "one bit of one weight": (0.0, "first", True),
}
SEEDS, EPOCHS, RATE = 8, 8, 0.05


def lenet(slope: Any, ties: Any) -> purecnn.Chain:
    """LeNet with the conventions as arrays, so that one program trains with all of them: what differs between two nets
    is then the convention, and never the order in which a compiler adds."""

    def relu(layer):
        def fwd(params, state, x, train, key):
            return *layer.fwd(params, state, x, train, key)[:2], (x,)

        def bwd(residuals, y_bar, train):
            steep, flat = (purecnn.relu_bwd(residuals, y_bar, slope_at_zero=s)[0] for s in (1.0, 0.0))
            return flat + slope.astype(flat.dtype) * (steep - flat), {}

        return purecnn.with_backward(layer, bwd, fwd=fwd)

    def pool(layer):
        def fwd(params, state, x, train, key):
            pairs = [purecnn.max_pool2d_fwd(x, ties=word) for word in TIES]
            return pairs[0][0], state, [residuals for _, residuals in pairs]

        def bwd(residuals, y_bar, train):
            ways = [purecnn.max_pool2d_bwd(r, y_bar, ties=w)[0] for r, w in zip(residuals, TIES, strict=True)]
            return jnp.select([ties == i for i in range(len(TIES))], ways), {}

        return purecnn.with_backward(layer, bwd, fwd=fwd)

    replace = {"relu": relu, "max_pool2d": pool}
    net = purecnn.models.lenet()
    return purecnn.Chain(net.name, tuple(replace.get(layer.name, lambda layer: layer)(layer) for layer in net.layers))


def counted(net: purecnn.Chain, residuals: list[Any]) -> dict[str, Any]:
    """Shares of one batch: entries that are exactly zero in front of each ReLU, of a pool's windows those whose maximum
    occurs more than once, and those of them where it is above zero, so that ReLU passes on the pool's cotangent."""
    zeros = [(r[0] == 0).mean() for layer, r in zip(net.layers, residuals, strict=True) if layer.name == "relu"]
    ties, above = [], []
    for layer, r in zip(net.layers, residuals, strict=True):
        if layer.name == "max_pool2d":
            x, y = r[TIES.index("all")]
            n, rows, columns, channels = y.shape
            windows = x.reshape(n, rows, 2, columns, 2, channels)
            tied = (windows == y[:, :, None, :, None, :]).sum(axis=(2, 4)) > 1
            ties.append(tied.mean())
            above.append((tied & (y > 0)).mean())
    return {"zeros": jnp.stack(zeros), "ties": jnp.stack(ties), "ties_above_zero": jnp.stack(above)}


def fingerprint(params: Any) -> Any:
    """A checksum of 32 bits, which almost surely differs if any bit of the weights does."""
    flat = jnp.concatenate([jax.lax.bitcast_convert_type(leaf, jnp.uint32).ravel() for leaf in jax.tree.leaves(params)])
    return (flat * (2 * jnp.arange(len(flat), dtype=jnp.uint32) + 1)).sum(dtype=jnp.uint32)


def run(params: Any, order: Any, slope: Any, ties: Any, nudged: Any, precision: Any):
    """The weights after training, their test accuracy, and the counts and the fingerprint of every step before it."""
    net = lenet(slope, ties)
    w = params[-1]["w"]
    w = w.at[0, 0].set(jnp.where(nudged, jnp.nextafter(w[0, 0], jnp.inf), w[0, 0]))
    params = [*params[:-1], params[-1] | {"w": w}]

    def gradient(params, x, labels):
        arrays = training.cast((params, x), precision)
        _, grads, residuals = training.two_lists(net, *arrays, labels)
        return counted(net, residuals) | {"weights": fingerprint(params)}, training.cast(grads, jnp.float32)

    rate = optax.cosine_decay_schedule(RATE, order.shape[0] * order.shape[1])
    params, steps, _ = training.train(gradient, optax.sgd(rate, momentum=0.9), params, order)
    accuracy = training.test_accuracy(net, training.cast(params, precision))
    return params, accuracy, jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), steps)


def compare(precision: Any, starts: Any, orders: np.ndarray) -> dict[str, Any]:
    """All conventions and seeds in one program."""

    names, seeds = list(CONVENTIONS), len(orders)
    every = [CONVENTIONS[name] for name in names for _ in range(seeds)]
    slopes, words, nudges = zip(*every, strict=True)
    params, accuracy, steps = training.at_once(
        partial(run, precision=precision),
        jax.tree.map(lambda a: jnp.concatenate([a] * len(names)), starts),
        np.concatenate([orders] * len(names)),
        np.float32(slopes),
        np.int32([TIES.index(word) for word in words]),
        np.array(nudges),
        precision=precision,
    )
    params, accuracy, steps = jax.tree.map(
        lambda a: np.asarray(a).reshape(len(names), seeds, *a.shape[1:]), (params, accuracy, steps)
    )
    accuracy, usual = accuracy.astype(np.float64), names.index(USUAL)
    flat = np.concatenate([np.reshape(leaf, (*accuracy.shape, -1)) for leaf in jax.tree.leaves(params)], axis=2)
    away = np.linalg.norm(flat - flat[usual], axis=2) / np.linalg.norm(flat[usual], axis=1)
    differs = steps["weights"] != steps["weights"][usual]
    rows = {}
    for i, name in enumerate(names):
        rows[name] = training.mean_and_spread(accuracy[i], 2) | {"test_accuracy": accuracy[i].round(2).tolist()}
        if i != usual:
            same = not (accuracy[i] - accuracy[usual]).any()
            rows[name] |= training.against(accuracy[i], accuracy[usual])
            rows[name] |= {
                "p": 1.0 if same else round(float(ttest_rel(accuracy[i], accuracy[usual]).pvalue), 3),
                # Fingerprints are taken before a step: at entry k they are those after k steps.
                "weights_differ_after_step": [int(d.argmax()) if d.any() else None for d in differs[i]],
                "weights_apart": training.mean_and_spread(away[i], 4),
            }
    shares = {name: steps[name][usual].astype(np.float64) for name in ("zeros", "ties", "ties_above_zero")}
    every = shares["zeros"].shape[1]
    seen = {"first step": slice(0, 1), "second step": slice(1, 2), "all later steps": slice(2, every)}
    counts = {
        when: {name: (100 * share[:, part].mean(axis=(0, 1))).round(4).tolist() for name, share in shares.items()}
        for when, part in seen.items()
    }
    return {"rows": rows, "percent_of_entries_or_windows": counts}


def draw(path: Path, found: dict[str, Any]) -> None:
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    every = figure.subplots(1, len(found), sharex=True, squeeze=False)[0]
    for axes, (precision, result) in zip(every, found.items(), strict=True):
        rows = {name: row for name, row in result["rows"].items() if name != USUAL}
        for place, row in enumerate(rows.values()):
            each = np.array(row["test_accuracy"]) - result["rows"][USUAL]["test_accuracy"]
            axes.plot(each, np.full(len(each), place), "o", color="#1f6fb4", alpha=0.25)
            axes.errorbar(row["difference"], place, xerr=2 * row["standard_error"], fmt="s", color="black", capsize=3)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_title(precision)
        axes.set_xlabel(f"points against {USUAL}")
    training.save_plot(figure, path)


def main(argv: list[str] | None = None) -> None:
    parser = training.options(__doc__, __file__)
    parser.add_argument("--part", choices=("float32", "bfloat16"), help="one precision alone")
    options = parser.parse_args(argv)
    net, seeds = purecnn.models.lenet(), 2 if options.quick else SEEDS
    orders = training.orders(seeds, 1 if options.quick else EPOCHS)
    orders = orders[:, :, :12] if options.quick else orders
    settings = {"seeds": seeds, "steps": orders.shape[1] * orders.shape[2], "batch": orders.shape[3], "rate": RATE}
    for precision in (options.part,) if options.part else ("float32",) if options.quick else ("float32", "bfloat16"):
        found = compare(jnp.dtype(precision), training.starts(net, seeds), orders)
        for name, row in found["rows"].items():
            print(precision, name, {key: value for key, value in row.items() if key != "test_accuracy"}, flush=True)
        training.write(options.out, f"{precision}.json", settings | found)
    written = {p: options.out / f"{p}.json" for p in ("float32", "bfloat16")}
    draw(options.out / "kinks.png", {p: json.loads(path.read_text()) for p, path in written.items() if path.exists()})


if __name__ == "__main__":
    keep_freed_memory()
    main()
