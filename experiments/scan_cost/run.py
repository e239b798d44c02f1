"""What a training step costs inside `lax.scan`, against the same step outside: our rules, and autodiff of plain ops.

    python experiments/scan_cost/run.py                 LeNet and cifar_cnn, batch 128; autodiff too (a few minutes)
    python experiments/scan_cost/run.py --ours-only     without autodiff, whose convolutions take minutes inside a scan

Inside and outside take turns, round by round; the figures are medians over the rounds, compilation left out.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import lax

import purecnn

SHAPES = {"lenet": (28, 28, 1), "cifar_cnn": (32, 32, 3)}
BATCH, STEPS = 128, 4


def plain_apply(net, params, x):
    """The same network in `lax` and `jnp` operations, for autodiff."""
    for layer, p in zip(net.layers, params, strict=True):
        if layer.name == "conv2d":
            x = lax.conv_general_dilated(x, p["w"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + p["b"]
        elif layer.name == "dense":
            x = x @ p["w"] + p["b"]
        elif layer.name == "relu":
            x = jax.nn.relu(x)
        elif layer.name == "max_pool2d":
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        elif layer.name == "flatten":
            x = x.reshape(len(x), -1)
        else:
            raise ValueError(f"plain_apply: {layer.name}: not one of this experiment's layers")
    return x


def measure(name, apply, rounds):
    net = getattr(purecnn.models, name)()
    x = jax.random.normal(jax.random.key(1), (BATCH, *SHAPES[name]))
    labels = jnp.arange(BATCH) % 10

    def step(params, x):
        def loss(p):
            return purecnn.softmax_cross_entropy(apply(net, p, x), labels).mean()

        return jax.tree.map(lambda p, g: p - 0.01 * g, params, jax.grad(loss)(params))

    outside = jax.jit(step, donate_argnums=0)
    inside = jax.jit(lambda p, xs: lax.scan(lambda p, x: (step(p, x), None), p, xs)[0], donate_argnums=0)
    xs = jnp.stack([x] * STEPS)

    def run_outside(params):
        for i in range(STEPS):
            params = outside(params, xs[i])
        return params

    def seconds(run):
        params = net.init(jax.random.key(0), SHAPES[name])
        start = time.perf_counter()
        jax.block_until_ready(run(params))
        return (time.perf_counter() - start) / STEPS

    runs = {"outside": run_outside, "inside": lambda params: inside(params, xs)}
    for run in runs.values():
        seconds(run)  # compile
    times = {way: [] for way in runs}
    for _ in range(rounds):
        for way, run in runs.items():
            times[way].append(1e3 * seconds(run))
    medians = {way: statistics.median(t) for way, t in times.items()}
    ratios = [i / o for i, o in zip(times["inside"], times["outside"], strict=True)]
    return {f"{way}_ms": round(ms, 1) for way, ms in medians.items()} | {
        "inside_over_outside": round(statistics.median(ratios), 2)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours-only", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    ways = {"purecnn": (lambda net, p, x: net.apply(p, x), args.rounds)}
    if not args.ours_only:
        ways["autodiff"] = (plain_apply, 1)
    results = {
        "jax": jax.__version__,
        "machine": f"{platform.machine()}, {len(jax.devices())} CPU device",
        "batch": BATCH,
    }
    for name in SHAPES:
        for way, (apply, rounds) in ways.items():
            results[f"{name} {way}"] = row = measure(name, apply, rounds)
            print(f"{name:10} {way:9}", *(f"{key} {value}" for key, value in row.items()), flush=True)
    Path(__file__).with_name("results").joinpath("cpu.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
