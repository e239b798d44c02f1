"""What does it cost of a LeNet step to measure the layers' gradient norms?

    python -m experiments.gradient_norms.run

The same steps without norms (where they are not used the compiler leaves them out), with them at every step and at
every NORMS_EVERY-th, in turn and in an order drawn anew each round; without them twice, for the noise.
"""

import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from purecnn.backend import describe_hardware
from purecnn.data.augmentation import random_warp
from purecnn.data.batches import training_batches
from purecnn.train.config import Config
from purecnn.train.loop import prepare
from purecnn.train.objectives import OBJECTIVES
from purecnn.train.step import NORMS_EVERY, training_step

STEPS, SECONDS = 32, 45


def main() -> None:
    plan = prepare(Config())
    images, labels = jnp.asarray(plan.data.train.images), jnp.asarray(plan.data.train.labels)
    batches = training_batches(len(labels), 32, seed=0, epoch=0)[:STEPS]

    def steps(every, keep):
        step = training_step(
            plan.net, OBJECTIVES["softmax_cross_entropy"], plan.optimizer, random_warp, norms_every=every
        )

        def one(now, batch):
            now, measured = step(now, images[batch], labels[batch])
            return now, measured if keep else (measured.loss, measured.correct)

        return jax.jit(lambda now: jax.lax.scan(one, now, batches))

    programs = {
        "none": steps(1, False),
        "none again": steps(1, False),
        "every step": steps(1, True),
        f"every {NORMS_EVERY} steps": steps(NORMS_EVERY, True),
    }
    weights = {name: jax.tree.leaves(program(plan.start)[0].params) for name, program in programs.items()}
    same = all(np.array_equal(a, b) for each in weights.values() for a, b in zip(each, weights["none"], strict=True))
    spent = {name: [] for name in programs}
    rng, end = np.random.default_rng(0), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for name in rng.permutation(list(programs)):
            began = time.perf_counter()
            jax.block_until_ready(programs[name](plan.start))
            spent[name].append((time.perf_counter() - began) / STEPS)
    base = np.array(spent["none"])
    more = {name: 100 * np.median(np.array(each) - base) / np.median(base) for name, each in spent.items()}
    result = {
        "hardware": describe_hardware(),
        "rounds": len(base),
        "ms_a_step": round(1e3 * float(np.median(base)), 3),
        "percent_more": {name: round(float(share), 2) for name, share in more.items() if name != "none"},
        "same_weights_to_the_bit": same,
    }
    print(json.dumps(result, indent=2))
    results = Path(__file__).parent / "results" / f"{jax.default_backend()}.json"
    results.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
