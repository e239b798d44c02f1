"""64 LeNets, 8 seeds by 8 learning rates, trained by one program or one after the other.

    python -m experiments.one_program_sweep.run                    both parts, some four minutes
    python -m experiments.one_program_sweep.run --part accuracy    or one of them: accuracy, timing
    python -m experiments.one_program_sweep.run --quick --out FOLDER

Expected before anything ran: perhaps slower under vmap, which makes a grouped convolution of one whose weights are
mapped over. Before the long run: the weights agree to 1e-6 after an epoch and no better than 1e-2 after ten, for
training is unstable against rounding; nine in ten of the nets still reach the same accuracy.
"""

import re
import statistics
import time
from functools import cache

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

NET = purecnn.models.lenet()
SEEDS, RATES, EPOCHS = 8, (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5), 10
WIDTHS, SAMPLE, ROUNDS = (1, 4, 16, 64), 8, 7


def with_input_cotangent_by_products(net: purecnn.Chain) -> purecnn.Chain:
    """The same net, with x̄ of its second convolution as the lecture's matrix products, which vmap turns into batches of
    products where it makes a grouped convolution of the usual form."""
    layer = net.layers[3]

    def bwd(residuals, y_bar, train):
        x_bar, *_ = purecnn.conv2d_bwd(residuals, y_bar, padding="SAME", algorithm="im2col")
        return x_bar, layer.bwd(residuals, y_bar, train)[1]

    layers = list(net.layers)
    layers[3] = purecnn.with_backward(layer, bwd)
    return purecnn.Chain(net.name, tuple(layers))


def run_of(net: purecnn.Chain):
    """A whole training run as a function of arrays: the net before, the batches, the learning rate."""

    def run(params, order, rate):
        def gradient(params, x, labels):
            return purecnn.backprop(net, params, x, labels)

        return training.train(gradient, optax.sgd(rate, momentum=0.9), params, order[None])[0]

    return run


def grid(seeds: int, rates: tuple[float, ...], epochs: int):
    """Starts, batches and learning rates of every pair, seeds outside."""
    starts, orders = training.starts(NET, seeds), training.orders(seeds, epochs).reshape(seeds, -1, 32)
    starts = jax.tree.map(lambda a: jnp.repeat(a, len(rates), axis=0), starts)
    return starts, np.repeat(orders, len(rates), axis=0), np.tile(np.float32(rates), seeds)


@cache
def program(net: purecnn.Chain, nets: int, steps: int):
    """Of that many nets under one vmap, or, at 0, one net as it is: before and after compilation, and its seconds."""
    params = jax.eval_shape(lambda: net.init(jax.random.key(0), training.SHAPE))
    lead = (nets,) if nets else ()
    params = jax.tree.map(lambda a: jax.ShapeDtypeStruct((*lead, *a.shape), a.dtype), params)
    order = jax.ShapeDtypeStruct((*lead, steps, 32), jnp.int32)
    run = jax.jit(jax.vmap(run_of(net)) if nets else run_of(net))
    lowered = run.lower(params, order, jax.ShapeDtypeStruct(lead, jnp.float32))
    began = time.perf_counter()
    compiled = lowered.compile()
    return lowered, compiled, time.perf_counter() - began


def one_of(args, i: int):
    return jax.tree.map(lambda a: a[i], args)


def shorter(args, steps: int):
    starts, orders, rates = args
    return starts, orders[:, :steps], rates


def accuracy(args, rates, after: tuple[int, ...]) -> dict:
    """Train all at once and one after the other; how far apart the weights are `after` so many steps."""
    tested = jax.jit(jax.vmap(lambda params: training.test_accuracy(NET, params)))
    agreement, reached = {}, None
    for steps in after:
        batch = shorter(args, steps)
        together = program(NET, len(batch[2]), steps)[1](*batch)
        alone = [program(NET, 0, steps)[1](*one_of(batch, i)) for i in range(len(batch[2]))]
        away = [apart(training.flat(one_of(together, i)), training.flat(each)) for i, each in enumerate(alone)]
        reached = np.asarray(tested(together))
        difference = reached - np.asarray(tested(jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)))
        agreement[f"after {steps}"] = {}
        for i, rate in enumerate(rates):
            of_rate, off = away[i :: len(rates)], np.abs(difference[i :: len(rates)])
            agreement[f"after {steps}"][f"{rate:g}"] = {
                "weights_apart": {"median": statistics.median(of_rate), "worst": max(of_rate)},
                "same_test_accuracy": f"{int((off == 0).sum())} of {len(off)}",
                "points_apart_at_most": round(float(off.max()), 2),
            }
        print(f"after {steps} steps:", agreement[f"after {steps}"], flush=True)
    by_rate = np.asarray(reached).reshape(-1, len(rates)).T
    table = {f"{r:g}": training.mean_and_spread(row, 2) for r, row in zip(rates, by_rate, strict=True)}
    best = max(table, key=lambda r: table[r]["mean"])
    return {"agreement": agreement, "test_accuracy": table, "best_learning_rate": best}


def timing(args, widths: tuple[int, ...], sample: int, rounds: int, by_products: bool = True) -> dict:
    """Milliseconds a step and net, and bytes: one program of several widths, and a loop over a sample of the nets."""
    steps, most = args[1].shape[1], widths[-1]
    which = {f"vmap of {width}": (NET, width) for width in widths}
    which["loop"] = (NET, 0)
    if by_products:
        which[f"vmap of {most}, x̄ by products"] = (with_input_cotangent_by_products(NET), most)
    rows, ways = {}, {}
    for name, (net, nets) in which.items():
        lowered, compiled, seconds = program(net, nets, steps)
        memory = compiled.memory_analysis()
        rows[name] = {
            "nets": nets or sample,
            "compile_s": round(seconds, 1),
            "temporary_bytes": memory.temp_size_in_bytes,
            "bytes_in_and_out": memory.argument_size_in_bytes + memory.output_size_in_bytes,
            "grouped_convolutions": re.findall(r"feature_group_count=(\d+)", lowered.as_text("hlo")),
        }
        ways[name] = calls(compiled, args, nets, sample)
    for name, timed in taking_turns(ways, rounds).items():
        rows[name]["ms_a_step_and_net"] = round(timed.median_ms / steps / rows[name]["nets"], 3)
    for row in rows.values():
        row["of_the_loop"] = round(row["ms_a_step_and_net"] / rows["loop"]["ms_a_step_and_net"], 3)
    return {"steps": steps, "rounds": rounds, "rows": rows}


def calls(compiled, args, nets: int, sample: int):
    batches = [jax.tree.map(lambda a: a[:nets], args)] if nets else [one_of(args, i) for i in range(sample)]
    return lambda: [jax.block_until_ready(compiled(*batch)) for batch in batches]


def draw(reached: dict, timed: dict) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    table, rows = reached["test_accuracy"], timed["rows"]
    means, spreads = ([row[k] for row in table.values()] for k in ("mean", "spread"))
    left.errorbar([float(rate) for rate in table], means, spreads, fmt="o-", capsize=3)
    left.set_xscale("log")
    left.set_xlabel("learning rate")
    left.set_ylabel("test accuracy in %, mean and spread")
    one = {row["nets"]: row["ms_a_step_and_net"] for name, row in rows.items() if re.fullmatch(r"vmap of \d+", name)}
    right.plot(list(one), list(one.values()), "o-", label="one program (vmap)")
    right.axhline(rows["loop"]["ms_a_step_and_net"], color="black", linewidth=0.8, label="a loop over the nets")
    right.set_xscale("log", base=2)
    right.set_ylim(bottom=0)
    right.set_xlabel("nets in one program")
    right.set_ylabel("ms a step and net")
    right.legend()
    return figure


def main(argv: list[str] | None = None) -> None:
    parser = training.options(__doc__, __file__)
    parser.add_argument("--part", choices=("accuracy", "timing"), help="one part alone")
    options = parser.parse_args(argv)
    rates = RATES[3:5] if options.quick else RATES
    args = grid(2 if options.quick else SEEDS, rates, 1 if options.quick else EPOCHS)
    parts = {
        "accuracy": lambda: accuracy(args, rates, (20,) if options.quick else (1, 45, 45 * EPOCHS)),
        "timing": lambda: (
            timing(shorter(args, 20), (4,), 2, 1, by_products=False)
            if options.quick
            else timing(shorter(args, 20), WIDTHS, SAMPLE, ROUNDS)
        ),
    }
    training.run_parts(options, parts, tuple(parts), draw, "sweep.png")


if __name__ == "__main__":
    keep_freed_memory()
    main()
