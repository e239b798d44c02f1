"""Does LeNet learn by backward rules that are no derivative, and how far do they point from the gradient?

    python -m experiments.other_backward_rules.run
    python -m experiments.other_backward_rules.run --quick --out DIR

Everything is the lecture's two lists (`purecnn.backprop`, `Chain.backward`): nothing is differentiated.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import purecnn
from experiments.other_backward_rules.pictures import plot, saliency
from experiments.other_backward_rules.rules import RULES, WEIGHTED, lenet
from experiments.training import momentum_steps
from purecnn.backend import describe_hardware
from purecnn.data.batches import training_batches
from purecnn.data.digits import read_digits

SHAPE, BATCH, MOMENTUM = (8, 8, 1), 32, 0.9
SEEDS, EPOCHS, RATES = range(5), 12, (0.001, 0.003, 0.01, 0.03)
QUICK = ("sign-symmetric",)
NAMED = [i for i, layer in enumerate(lenet().layers) if layer.name in WEIGHTED]


def degrees(a, b):
    """The angle between two gradients; from sum and difference, for the cosine of a small angle is 1 in float32."""
    a, b = (jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)]) for tree in (a, b))
    a, b = a / jnp.linalg.norm(a), b / jnp.linalg.norm(b)
    return jnp.degrees(2 * jnp.arctan2(jnp.linalg.norm(a - b), jnp.linalg.norm(a + b)))


def programs(rule, data):
    """An epoch of SGD by `rule`, and the angle of every layer's gradient to the true one at the same weights."""
    images, labels = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)

    def epoch(params, velocity, batches, rate, key):
        net = lenet(rule, key)

        def gradient(params, batch):
            return purecnn.backprop(net, params, images[batch], labels[batch])

        params, velocity, losses = momentum_steps(gradient, params, velocity, batches, rate, MOMENTUM)
        return params, velocity, losses.mean()

    def angles(params, key):
        chosen = images[:512], labels[:512]
        true, other = (purecnn.backprop(net, params, *chosen)[1] for net in (lenet(), lenet(rule, key)))
        return jnp.stack([degrees(true[i], other[i]) for i in NAMED])

    return jax.jit(epoch), jax.jit(angles)


def train(epoch, angles, accuracy, rate, seed, epochs, samples):
    params, key = lenet().init(jax.random.key(seed), SHAPE), jax.random.key(1000 + seed)
    velocity, seen, loss = jax.tree.map(jnp.zeros_like, params), [angles(params, key)], jnp.nan
    for e in range(epochs):
        batches = training_batches(samples, BATCH, seed=seed, epoch=e)
        params, velocity, loss = epoch(params, velocity, batches, rate * (1 - e / epochs), key)
        seen.append(angles(params, key))
    numbers = {"loss": float(loss), "accuracy": float(accuracy(params)), "degrees": np.round(seen, 2).tolist()}
    return params, {k: v if np.isfinite(v).all() else None for k, v in numbers.items()}


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one rule, one seed, one rate, three epochs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rules, seeds, epochs, rates = (QUICK, [0], 3, [0.03]) if options.quick else (RULES, SEEDS, EPOCHS, RATES)
    data = read_digits()
    images, labels = jnp.asarray(data.test.images), jnp.asarray(data.test.labels)
    accuracy = jax.jit(lambda params: (lenet().apply(params, images).argmax(1) == labels).mean())
    result, shown = {"hardware": describe_hardware(), "epochs": epochs, "seeds": len(seeds), "rules": {}}, None
    for rule in rules:
        epoch, angles = programs(rule, data)
        runs = {}
        for rate in rates:
            for seed in seeds:
                params, run = train(epoch, angles, accuracy, rate, seed, epochs, len(data.train.labels))
                runs.setdefault(str(rate), []).append(run)
                shown = params if shown is None or (rule, rate, seed) == ("true", 0.03, 0) else shown
        losses = {rate: np.mean([np.inf if r["loss"] is None else r["loss"] for r in of]) for rate, of in runs.items()}
        best = min(losses, key=losses.__getitem__)  # by the training loss: the test images choose nothing
        reached = np.array([run["accuracy"] for run in runs[best]])
        result["rules"][rule] = {
            "rate": float(best),
            "accuracy": round(float(reached.mean()), 4),
            "spread": round(float(reached.std(ddof=1)), 4) if len(reached) > 1 else None,
            "runs": runs[best],
            "other rates": {
                rate: {k: [run[k] for run in of] for k in ("loss", "accuracy")}
                for rate, of in runs.items()
                if rate != best
            },
        }
        print(f"{rule:28} rate {best}: {100 * reached.mean():.2f} %", runs[best][0]["degrees"], flush=True)
    (options.out / "cpu.json").write_text(json.dumps(result) + "\n", encoding="utf-8")
    plot(result, [f"layer {i}, {lenet().layers[i].name}" for i in NAMED], options.out / "angles.png")
    saliency(shown, images, labels, options.out / "saliency.png")


if __name__ == "__main__":
    main()
