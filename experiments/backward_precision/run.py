"""One precision for the forward pass and another for the weight gradients: LeNet in bfloat16 and float32, four ways.

    python -m experiments.backward_precision.run                    all parts, some four minutes
    python -m experiments.backward_precision.run --part timing      one of them: accuracy, error, timing
    python -m experiments.backward_precision.run --quick --out FOLDER

Predictions, written before the first run: the forward pass decides. In bfloat16 the gradient is off by some 1 %, and
float32 for w̄ takes little of that away; a float32 forward pass with w̄ in bfloat16 is off by 2⁻⁹, the rounding of w̄
itself. No way trains worse than float32 while the weights are kept in float32; with weights in bfloat16 too it does.
On this CPU every bfloat16 costs time.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import purecnn
from experiments import training
from experiments.benchmark.measure import taking_turns
from experiments.benchmark.run import apart
from purecnn.backend import keep_freed_memory

F32, BF16 = jnp.dtype("float32"), jnp.dtype("bfloat16")
WAYS = {
    "float32, float32": (F32, F32),
    "float32, bfloat16": (F32, BF16),
    "bfloat16, float32": (BF16, F32),
    "bfloat16, bfloat16": (BF16, BF16),
}
KEPT = "bfloat16, bfloat16, weights kept in bfloat16"
SEEDS, EPOCHS, RATE = 8, 8, 0.05


def lenet(forward: Any, weights: Any) -> purecnn.Chain:
    """LeNet whose forward pass and x̄ are in `forward`, and whose w̄ and b̄ are in `weights`, from x and ȳ cast to it.

    Parameters may be of any precision, and are rounded to `forward` on the way in.
    """

    def mixed(layer):
        def fwd(params, state, x, train, key):
            return layer.fwd(training.cast(params, forward), state, x, train, key)

        def bwd(residuals, y_bar, train):
            # What is not used of either call, a compiler leaves out.
            x_bar, _ = layer.bwd(residuals, y_bar, train)
            return x_bar, layer.bwd(training.cast(residuals, weights), y_bar.astype(weights), train)[1]

        return purecnn.with_backward(layer, bwd, fwd=fwd)

    net = purecnn.models.lenet()
    return purecnn.Chain(net.name, tuple(mixed(one) if one.name in ("conv2d", "dense") else one for one in net.layers))


def gradient_of(forward: Any, weights: Any, given: Any = F32):
    """For `training.train`: the optimiser is given what comes out of the two lists as `given`."""
    net = lenet(forward, weights)

    def gradient(params, x, labels):
        loss, grads, _ = training.two_lists(net, params, x.astype(forward), labels)
        return loss, training.cast(grads, given)

    return gradient


def accuracy(starts: Any, orders: np.ndarray) -> dict[str, Any]:
    """All seeds of a way in one program."""
    rate = optax.cosine_decay_schedule(RATE, orders.shape[1] * orders.shape[2])
    rows = {}
    for name, (forward, weights) in (WAYS | {KEPT: (BF16, BF16)}).items():
        kept = BF16 if name == KEPT else F32

        def run(params, order, gradient=gradient_of(forward, weights, kept), forward=forward):  # noqa: B008
            params = training.train(gradient, optax.sgd(rate, momentum=0.9), params, order)[0]
            return training.test_accuracy(purecnn.models.lenet(), training.cast(params, forward))

        reached = training.at_once(
            run, training.cast(starts, kept), orders, precision=forward if forward == BF16 else weights
        )
        rows[name] = training.mean_and_spread(reached, 2) | {"test_accuracy": [round(float(a), 2) for a in reached]}
        print(name, rows[name], flush=True)
    usual = np.array(rows["float32, float32"]["test_accuracy"])
    for row in rows.values():
        row |= training.against(np.array(row["test_accuracy"]), usual)
    return {"seeds": len(usual), "epochs": orders.shape[1], "rate": RATE, "rows": rows}


def error(starts: Any, orders: np.ndarray, half_way: bool = True) -> dict[str, Any]:
    """‖g − g₆₄‖ / ‖g₆₄‖ for one batch of each seed, at the start and half-way through training in float32."""
    train = training.digits().train
    rate = optax.cosine_decay_schedule(RATE, orders.shape[1] * orders.shape[2])

    def trained(params, order):
        return training.train(gradient_of(F32, F32), optax.sgd(rate, momentum=0.9), params, order)[0]

    moments = {"at the start": starts}
    if half_way:  # and not the end, when the batch is fitted and its gradient is all but nothing
        moments["half-way"] = jax.jit(jax.vmap(trained))(starts, orders[:, : orders.shape[1] // 2])
    batches = [order[0, 0] for order in orders]
    ways = {name: jax.jit(gradient_of(*way)) for name, way in WAYS.items()}
    found: dict[str, Any] = {name: {} for name in ways}
    for moment, params in moments.items():
        each = [jax.tree.map(lambda a, s=s: a[s], params) for s in range(len(batches))]
        exact = [in_float64(p, train.images[rows], train.labels[rows]) for p, rows in zip(each, batches, strict=True)]
        for name, way in ways.items():
            errors = []
            for p, rows, reference in zip(each, batches, exact, strict=True):
                _, g = way(p, jnp.asarray(train.images[rows]), jnp.asarray(train.labels[rows]))
                errors.append(apart(np.float64(training.flat(g)), reference))
            found[name][moment] = {"mean": float(np.mean(errors)), "spread": float(np.std(errors, ddof=1))}
    return {"batch": int(orders.shape[3]), "rows": found}


def in_float64(params: Any, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    params, labels = jax.tree.map(np.asarray, params), np.asarray(labels)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params)
        return training.flat(_exact(params, jnp.asarray(images, jnp.float64), jnp.asarray(labels)))


@jax.jit
def _exact(params, x, labels):
    return purecnn.backprop(purecnn.models.lenet(), params, x, labels)[1]


def timing(shapes: dict[str, tuple[int, int]], rounds: int) -> dict[str, Any]:
    """Of one gradient: milliseconds, and the ratio to float32 throughout, round by round; size and batch by name."""
    rows: dict[str, Any] = {}
    for name, (size, batch) in shapes.items():
        net, labels = purecnn.models.lenet(), jnp.arange(batch, dtype=jnp.int32) % 10
        params = net.init(jax.random.key(0), (size, size, 1))
        x = jax.random.normal(jax.random.key(1), (batch, size, size, 1))
        # taking_turns divides by the way that is called "autodiff".
        named = {"autodiff" if way == (F32, F32) else n: jax.jit(gradient_of(*way)) for n, way in WAYS.items()}

        def once(function, params=params, x=x, labels=labels):
            return jax.block_until_ready(function(params, x, labels))

        timed = taking_turns({n: partial(once, function) for n, function in named.items()}, rounds)
        rows[name] = {
            next(iter(WAYS)) if n == "autodiff" else n: {"ms": round(t.median_ms, 2), "ratio": round(t.ratio or 0, 2)}
            for n, t in timed.items()
        }
    return {"rounds": rounds, "rows": rows}


def draw(trained: dict[str, Any], off: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9.5, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, (name, row) in enumerate(off["rows"].items()):
        for moment, colour in (("at the start", "#1f6fb4"), ("half-way", "#d9541e")):
            label = moment if place == 0 else None
            left.errorbar(row[moment]["mean"], place, xerr=row[moment]["spread"], fmt="o", color=colour, label=label)
        left.annotate(name, (1, place + 0.15), xycoords=("axes fraction", "data"), ha="right", fontsize=8)
    left.set_xscale("log")
    left.set_yticks([])
    left.set_xlabel("gradient's relative error against float64")
    left.legend(loc="upper left")
    for place, row in enumerate(trained["rows"].values()):
        each = np.array(row["test_accuracy"])
        right.plot(each, np.full(len(each), place), "o", color="#1f6fb4", alpha=0.3)
        right.errorbar(row["mean"], place, xerr=row["spread"], fmt="s", color="black", capsize=3)
    right.set_yticks(range(len(trained["rows"])), [name.replace(", w", ",\nw") for name in trained["rows"]], fontsize=8)
    right.set_xlabel("test accuracy in %, each seed, mean and spread")
    return figure


def main(argv: list[str] | None = None) -> None:
    parser = training.options(__doc__, __file__)
    parser.add_argument("--part", choices=("accuracy", "error", "timing"), help="one part alone")
    options = parser.parse_args(argv)
    seeds = 2 if options.quick else SEEDS
    orders = training.orders(seeds, 1 if options.quick else EPOCHS)
    starts = training.starts(purecnn.models.lenet(), seeds)
    parts = {
        "accuracy": lambda: accuracy(starts, orders),
        "error": lambda: error(starts, orders, half_way=not options.quick),
        "timing": lambda: timing({"28×28, batch 128": (28, 128)}, 21),
    }
    if options.quick:  # compiles little: the errors at the start alone
        options.part = "error"
    training.run_parts(options, parts, ("accuracy", "error"), draw, "precision.png")


if __name__ == "__main__":
    keep_freed_memory()
    main()
