"""How long data sets of full size take to read, and what share of a training step its input takes.

    python -m experiments.input_cost.run                       all of it, a few minutes
    python -m experiments.input_cost.run --only read           or lenet, or cifar_cnn

Read: files in the true format and size, generated (noise, four of five MNIST pixels black as in MNIST), the median of
REPEATS readings in one process, files in the page cache.

Step: batch 128, STEPS steps a dispatch, float32 pixels that are there already, against the same step that takes its
uint8 pixels from a set on the device, and from one in host memory by `feed`. They take turns; medians over the rounds.
"Alone" is what makes an input, timed by itself: on the device gathering and `to_float`, on the host the shuffle of an
epoch and, streamed, gathering a block and putting it on the device, which in training a thread does beside the step.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import purecnn
from purecnn.backend import describe_hardware
from purecnn.data.batches import training_batches
from purecnn.data.dataset import Split, to_float
from purecnn.data.pipeline import feed
from purecnn.data.readers import read
from purecnn.train.objectives import OBJECTIVES
from purecnn.train.step import initial_state, steps_in_one_dispatch, training_step
from tests.data.making import cifar_archive, cifar_files, write_mnist

REPEATS, ROUNDS = 5, 5
BATCH, STEPS, PARTS = 128, 4, 3
SETS = {"lenet": (60_000, 28, 28, 1), "cifar_cnn": (50_000, 32, 32, 3)}


def seconds(run):
    started = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - started


def reading():
    """Median seconds by what is read."""
    took = {}
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        write_mnist(root / "mnist, unpacked", train=60_000, test=10_000, packed=False, dark=0.8)
        write_mnist(root / "mnist, gzipped", train=60_000, test=10_000, packed=True, dark=0.8)
        files, *_ = cifar_files(train=50_000, test=10_000)
        (root / "cifar10, folder").mkdir()
        for name, data in files.items():
            (root / "cifar10, folder" / name).write_bytes(data)
        (root / "cifar10, .tar.gz").write_bytes(cifar_archive(files))
        del files
        for path in sorted(root.iterdir()):
            times = [seconds(lambda path=path: read(path.name.split(",")[0], str(path)) and ()) for _ in range(REPEATS)]
            took[path.name] = round(statistics.median(times), 2)
            print(f"{path.name:<18} {took[path.name]:.2f} s", flush=True)
    return took


def steps(name):
    """Median milliseconds a step, and what the input takes of it."""
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, SETS[name], np.uint8), rng.integers(0, 10, SETS[name][0]).astype(np.int32))
    net, optimizer = getattr(purecnn.models, name)(10), optax.sgd(1e-4, momentum=0.9)
    step = training_step(net, OBJECTIVES["softmax_cross_entropy"], optimizer)
    program = steps_in_one_dispatch(step)
    ready = jax.jit(lambda now, xs, ys: jax.lax.scan(lambda now, xy: step(now, *xy), now, (xs, ys)), donate_argnums=0)
    gather = jax.jit(lambda images, indices: jax.lax.map(lambda batch: to_float(images[batch]), indices))

    first = initial_state(net, optimizer, SETS[name][1:], 0)

    def state():  # a copy, as each run's is donated
        return jax.tree.map(jnp.copy, first)

    images, labels = jax.device_put(split.images), jax.device_put(split.labels)
    batches = training_batches(len(split), BATCH, seed=0, epoch=0)
    parts = np.split(batches[: STEPS * PARTS], PARTS)
    floats = [(to_float(split.images[part]), split.labels[part]) for part in parts]
    floats = [tuple(map(jnp.asarray, pair)) for pair in floats]

    def from_floats(now):
        for xs, ys in floats:
            now, measured = ready(now, xs, ys)
        return measured

    def from_device(now):
        for part in parts:
            now, measured = program(now, images, labels, part)
        return measured

    def from_host(now):
        for block, its_labels, here in feed(split, parts):
            now, measured = program(now, block, its_labels, here)
        return measured

    ways = {"pixels there": from_floats, "set on the device": from_device, "set in host memory": from_host}
    for way in ways.values():
        seconds(lambda way=way: way(state()))  # compile
    times = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, run in ways.items():
            now = jax.block_until_ready(state())
            times[way].append(seconds(lambda run=run, now=now: run(now)) / (STEPS * PARTS))
    medians = {way: 1e3 * statistics.median(each) for way, each in times.items()}

    def alone(run, count):
        run()
        return 1e3 * statistics.median(seconds(run) for _ in range(REPEATS)) / count

    device = alone(lambda: gather(images, parts[0]), STEPS)
    shuffle = alone(lambda: training_batches(len(split), BATCH, seed=0, epoch=1) is None, len(batches))
    block = alone(lambda: [jax.device_put(split.images[parts[0].ravel()])], STEPS)
    whole = medians["pixels there"]
    result = {"step ms": {way: round(ms, 2) for way, ms in medians.items()}}
    result["alone ms"] = {"gather": round(device, 3), "shuffle": round(shuffle, 4), "block": round(block, 3)}
    result["share alone, %"] = {
        "set on the device": round(100 * (device + shuffle) / (whole + device + shuffle), 2),
        "set in host memory": round(100 * (device + shuffle + block) / (whole + device + shuffle + block), 2),
    }
    result["share by difference, %"] = {
        way: round(
            100 * (1 - statistics.median(a / b for a, b in zip(times["pixels there"], times[way], strict=True))), 1
        )
        for way in list(ways)[1:]
    }
    print(name, json.dumps(result, indent=1), flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["read", *SETS])
    only = parser.parse_args().only
    path = Path(__file__).parent / "results" / "cpu.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results["hardware"] = describe_hardware()
    if only in (None, "read"):
        results["read, seconds"] = reading()
    for name in SETS:
        if only in (None, name):
            results[f"{name}, batch {BATCH}"] = steps(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
