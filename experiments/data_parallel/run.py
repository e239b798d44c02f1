"""Data parallel three ways, on devices of one CPU: the same gradients? which collectives? what does a step cost?

    python -m experiments.data_parallel.run           1, 2, 4 and 8 devices
    python -m experiments.data_parallel.run --quick   1 and 4, a smaller image and net

The number of CPU devices is fixed when JAX starts, so the work is done in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PER_DEVICE, SEEDS, CORES = 32, 3, 2
PSUM_BYTES = (1 << 12, 1 << 15, 1 << 18, 1 << 21)
# A thousand machines like this one, on two networks that are assumed, not measured: 10 and 200 Gbit/s.
ASSUMED = {"10 Gbit/s Ethernet": (30e-6, 1.25e9), "200 Gbit/s fabric": (5e-6, 25e9)}
# Seconds of a step on this machine (docs/speed.md) and 32-bit gradients: what one device does in the extrapolation.
NETS = {"lenet, 128 images": ("lenet", 0.0198), "alexnet, 16 images": ("alexnet", 1.349)}


def worker(quick: bool, out: Path) -> None:
    import jax
    import jax.numpy as jnp
    import numpy as np

    import purecnn
    from experiments.benchmark.measure import taking_turns
    from experiments.comparing import largest_difference
    from experiments.data_parallel.ways import WAYS, collectives
    from purecnn import nn
    from purecnn.backend import describe_hardware

    counts, side, rounds = ((1, 4), 8, 2) if quick else ((1, 2, 4, 8), 28, 15)
    widths, seeds = ((8,), 1) if quick else ((8, 16), SEEDS)
    convs = [layer for d in widths for layer in (nn.conv2d(d, 3, padding="SAME"), nn.relu(), nn.max_pool2d())]
    net = purecnn.Chain("small", (*convs, nn.flatten(), nn.dense(10)))
    alone = jax.jit(lambda params, x, labels: purecnn.backprop(net, params, x, labels))

    def problem(seed, batch):
        rng = np.random.default_rng(seed)
        params = net.init(jax.random.key(seed), (side, side, 1))
        return params, jnp.asarray(rng.normal(size=(batch, side, side, 1)), jnp.float32), jnp.arange(batch) % 10

    parameters = sum(p.size for p in jax.tree.leaves(net.init(jax.random.key(0), (side, side, 1))))
    result: dict = {"hardware": describe_hardware(), "gradient_bytes": 4 * parameters, "per_device": PER_DEVICE}
    steps: dict = {}
    for count in counts:
        made = {}
        for way, make in WAYS.items():
            params, x, labels = problem(0, count * PER_DEVICE)
            compiled, args = make(net, jax.devices()[:count], params, x, labels)
            made[way] = {
                "compiled": compiled,
                "args": args,
                "apart": [],
                "collectives": collectives(compiled.as_text()),
            }
            steps[way, count] = lambda f=compiled, a=args: jax.block_until_ready(f(*a))
        same = []
        for seed in range(seeds):
            params, x, labels = problem(seed, count * PER_DEVICE)
            expected = alone(params, x, labels)
            got = {}
            for way, one in made.items():
                shardings = jax.tree.map(lambda a: getattr(a, "sharding", None), one["args"])
                cut = (params, *(a.reshape(b.shape) for a, b in zip((x, labels), one["args"][1:], strict=True)))
                if way != "pmap":
                    cut = jax.tree.map(jax.device_put, cut, shardings)
                got[way] = one["compiled"](*cut)
                one["apart"].append(largest_difference(got[way], expected))
            same.append(
                {
                    f"{a} = {b}": largest_difference(got[a], got[b]) == 0
                    for a, b in (("pmap", "shard_map"), ("shard_map", "jit"))
                }
            )
        result[f"{count} devices"] = {
            way: {"apart": one["apart"], "collectives": one["collectives"]} for way, one in made.items()
        } | {"same_to_the_bit": {pair: all(one[pair] for one in same) for pair in same[0]}}
    timed = taking_turns(steps, rounds)
    for (way, count), timing in timed.items():
        result[f"{count} devices"][way]["step_ms"] = round(timing.median_ms, 3)

    def all_reduce(count, size):
        add = jax.pmap(lambda a: jax.lax.psum(a, "data"), "data", devices=jax.devices()[:count])
        a = add(jnp.ones((count, size // 4), jnp.float32))
        return lambda: jax.block_until_ready(add(a))

    sums = {(d, s): all_reduce(d, s) for d in counts[1:] for s in (PSUM_BYTES[:2] if quick else PSUM_BYTES)}
    sums_timed = taking_turns(sums, rounds)
    result["all_reduce_ms"] = [[d, s, round(t.median_ms, 4)] for (d, s), t in sums_timed.items()]
    result["nets"] = {}
    for label, (name, seconds) in NETS.items():
        shape = (28, 28, 1) if name == "lenet" else (224, 224, 3)
        made_of = jax.eval_shape(lambda k, n=name, s=shape: getattr(purecnn.models, n)().init(k, s), jax.random.key(0))
        result["nets"][label] = {"compute_s": seconds, "bytes": 4 * sum(p.size for p in jax.tree.leaves(made_of))}
    out.mkdir(parents=True, exist_ok=True)
    (out / "cpu.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def on_paper(result: dict) -> dict:
    """α and β of the all-reduces measured here, what they predict for the others, and the step on 1,000 devices."""
    from experiments.data_parallel.model import Link, fit

    fewest = min(d for d, _, _ in result["all_reduce_ms"])
    rows = [(d, s, ms / 1e3) for d, s, ms in result["all_reduce_ms"]]
    here = fit(*zip(*((2 * s / d, t / (d - 1)) for d, s, t in rows if d == fewest), strict=True))
    told = [{"devices": d, "bytes": s, "measured_over_model": round(t / here.ring(d, s), 2)} for d, s, t in rows]
    far = {}
    for network, link in ASSUMED.items():
        for net, one in result["nets"].items():
            c, size = one["compute_s"], one["bytes"]
            far[f"{net}, {network}"] = {
                str(d): {"step_s": round(t := Link(*link).step(d, c, size), 4), "efficiency": round(c / t, 3)}
                for d in (8, 64, 1000)
            }
    return {"alpha_us": round(1e6 * here.alpha, 1), "beta_gb_s": round(here.beta / 1e9, 3), "ring": told, "far": far}


def draw(result: dict, path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    counts = [int(key.split()[0]) for key in result if key.endswith(" devices")]
    figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for way, mark in (("pmap", "s"), ("shard_map", "o"), ("jit", "^")):
        axis.plot(counts, [result[f"{d} devices"][way]["step_ms"] for d in counts], marker=mark, label=way)
    first = result["1 devices"]["jit"]["step_ms"]
    axis.plot(counts, [first * d for d in counts], "k--", label="the work on the same cores, nothing else")
    axis.set(xlabel="devices (on 2 cores), 32 images each", ylabel="ms a gradient", xscale="log", yscale="log")
    axis.set_xticks(counts, map(str, counts))
    axis.minorticks_off()
    axis.legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(arguments=None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.worker:
        worker(args.quick, args.out)
        return {}
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8".strip()
    command = [sys.executable, "-m", "experiments.data_parallel.run", "--worker", "--out", str(args.out)]
    root = Path(__file__).parents[2]
    subprocess.run(command + ["--quick"] * args.quick, check=True, cwd=root, env=os.environ | {"XLA_FLAGS": flags})
    result = json.loads((args.out / "cpu.json").read_text(encoding="utf-8"))
    result["on_paper"] = on_paper(result)
    (args.out / "cpu.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    draw(result, args.out / "scaling.png")
    print(json.dumps(result, indent=2))
    return result


if __name__ == "__main__":
    main()
