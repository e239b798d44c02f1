"""Differentially private SGD (Abadi et al. 2016): every sample's gradient clipped to a length, the sum noised.

The clipping and the noise are optax's; what it asks for is what a batch's gradient alone cannot give, one per sample.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import purecnn
from experiments import training
from experiments.per_sample_gradients.noise import per_sample

BATCH, CLIP, RATE = 128, 1.0, 0.1


def train_privately(net: purecnn.Chain, seeds: int, epochs: int, multipliers: tuple[float, ...]) -> dict[str, Any]:
    """Test accuracy by noise multiplier, beside the same training without clipping; all nets in two programs."""
    orders, starts = training.orders(seeds, epochs, BATCH), training.starts(net, seeds)

    def private(params, order, multiplier, seed):
        def gradient(params, x, labels):
            each = per_sample(net, params, x, labels)
            squares = sum((leaf.reshape(len(leaf), -1) ** 2).sum(axis=1) for leaf in jax.tree.leaves(each))
            return (squares > CLIP**2).mean(), each

        aggregate = optax.contrib.differentially_private_aggregate(CLIP, multiplier, jax.random.key(seed))
        optimizer = optax.chain(aggregate, optax.sgd(RATE, momentum=0.9))
        params, clipped, _ = training.train(gradient, optimizer, params, order)
        return training.test_accuracy(net, params), clipped.mean(axis=1)

    def usual(params, order):
        def gradient(params, x, labels):
            return purecnn.backprop(net, params, x, labels)

        optimizer = optax.sgd(RATE, momentum=0.9)
        return training.test_accuracy(net, training.train(gradient, optimizer, params, order)[0])

    over_seeds = jax.vmap(private, (0, 0, None, 0))
    over_both = jax.jit(jax.vmap(over_seeds, (None, None, 0, None)))
    accuracy, clipped = over_both(starts, orders, jnp.float32(multipliers), np.arange(seeds))
    rows = {"no clipping, no noise": {"test_accuracy": [float(a) for a in jax.jit(jax.vmap(usual))(starts, orders)]}}
    for i, multiplier in enumerate(multipliers):
        rows[f"clipped, noise {multiplier:g}"] = {
            "test_accuracy": [float(a) for a in accuracy[i]],
            "clipped_first_epoch": round(float(clipped[i, :, 0].mean()), 3),
            "clipped_last_epoch": round(float(clipped[i, :, -1].mean()), 3),
        }
    for row in rows.values():
        row |= training.mean_and_spread(row["test_accuracy"], 2)
    return {"batch": BATCH, "clip": CLIP, "rate": RATE, "epochs": epochs, "rows": rows}
