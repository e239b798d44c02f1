"""Do nets written for Flax NNX, Equinox and plain JAX compute the same on purecnn's rules, and what does a step cost?

    python -m experiments.drop_in.run            values, gradients, and training steps timed in turn
    python -m experiments.drop_in.run --quick    smaller, and fewer rounds

Each net is in a file of its own beside this one, which runs by itself too.
"""

import argparse
import functools
import importlib
import json
import statistics
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import purecnn
from experiments.benchmark.measure import taking_turns
from experiments.comparing import largest_difference
from purecnn.backend import describe_hardware, keep_freed_memory

FRAMEWORKS = ("plain_jax", "flax_nnx", "equinox_net")
BASE = "as it was"
OPTIMIZER = optax.sgd(0.01, momentum=0.9)
# Float32 keeps 24 bits, and the longest sums here, those of a first-layer weight's gradient, have batch · side² terms,
# added in another order. With m terms of random sign the difference is about 2⁻²⁴ √m of the largest, 1.5e-5 for 65,536.
TOLERANCE = 3e-5


def forms(framework):
    return importlib.import_module(f"experiments.drop_in.{framework}").forms


def problem(batch, side):
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(batch, side, side, 3)), jnp.float32), jnp.arange(batch) % 10


class Step:
    """A training step that can be run again and again on its own copy of the state.

    It also gives its logits, loss and gradients, so that what is compared is what is timed.
    """

    def __init__(self, name, params, apply, x, labels):
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels
        if name != BASE:
            cross_entropy = purecnn.softmax_cross_entropy

        def loss(params, x, labels):
            logits = apply(params, x)
            return cross_entropy(logits, labels).mean(), logits

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state, x, labels):
            params, moments = state
            (value, logits), gradients = jax.value_and_grad(loss, has_aux=True)(params, x, labels)
            updates, moments = OPTIMIZER.update(gradients, moments, params)
            found = {"logits": logits, "loss": value, "gradients": gradients}
            return (optax.apply_updates(params, updates), moments), found

        params = jax.tree.map(jnp.copy, params)
        self.step, self.state, self.data = step, (params, OPTIMIZER.init(params)), (x, labels)

    def __call__(self):
        self.state, found = self.step(self.state, *self.data)
        return jax.block_until_ready((self.state, found))[1]


def steps(framework, batch=8, side=16):
    """name: the training step of that form, all from the same parameters on the same batch."""
    x, labels = problem(batch, side)
    return {name: Step(name, *form, x, labels) for name, form in forms(framework)(side).items()}


def compare(ways):
    """How far the first step of each swapped form is from that of the net as it was: logits, loss, gradients."""
    found = {name: way() for name, way in ways.items()}
    was = found.pop(BASE)
    return {name: {part: largest_difference(one[part], was[part]) for part in was} for name, one in found.items()}


def main(arguments=None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args(arguments)
    keep_freed_memory()
    batch, side, rounds, repeats = (8, 16, 3, 1) if args.quick else (64, 32, 15, 3)
    versions = {name: version(name) for name in ("flax", "equinox", "optax")}
    result: dict = {
        "hardware": describe_hardware(),
        "versions": versions,
        "batch": batch,
        "side": side,
        "rounds": [rounds] * repeats,
    }
    for framework in FRAMEWORKS:
        ways = steps(framework, batch, side)
        result[framework] = rows = {BASE: {}} | compare(ways)
        timed = [taking_turns(ways, rounds) for _ in range(repeats)]
        for name, row in rows.items():
            row["step_ms"] = round(statistics.median(one[name].median_ms for one in timed), 2)
            row["ratio"] = [round(one[name].median_ms / one[BASE].median_ms, 3) for one in timed]
            print(f"{framework:12} {name:17} {row}", flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "cpu.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


if __name__ == "__main__":
    main()
