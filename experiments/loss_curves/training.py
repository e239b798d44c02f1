"""Plain SGD with momentum on the digits, its rate falling linearly to 0, and what is measured of it."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.loss_curves.nets import CLASSES, RATE, RATES, SHAPE, build
from experiments.training import momentum_steps
from purecnn.data.batches import training_batches
from purecnn.data.digits import read_digits
from tests.verify.faulty_rules.joined import Wrong

BATCH, MOMENTUM, EPOCHS = 32, 0.9, 12
Tree = Any


@functools.cache
def digits():
    data = read_digits()
    return tuple(jnp.asarray(a) for split in (data.train, data.test) for a in (split.images, split.labels))


@functools.cache
def accuracy(name: str) -> Callable[[Tree], jax.Array]:
    """Of the right net: a faulty backward rule changes nothing forward, so one program serves every rule."""
    net, _ = build(name)
    _, _, images, labels = digits()
    return jax.jit(lambda params: (net.apply(params, images).argmax(1) == labels).mean())


def epoch_program(name: str, wrong: Wrong | None = None) -> Callable[..., Any]:
    """(params, velocity, batches, rate, momentum) -> params and velocity after these batches, loss of each."""
    net, loss = build(name, wrong)
    images, labels, _, _ = digits()
    targets = jax.nn.one_hot(labels, CLASSES) if name == "softmax" else labels

    def mean_loss(params, batch):
        return loss(net.apply(params, images[batch]), targets[batch]).mean()

    return jax.jit(functools.partial(momentum_steps, jax.value_and_grad(mean_loss)))


def start(name: str, seed: int) -> Tree:
    return build(name)[0].init(jax.random.key(seed), SHAPE)


def order(seed: int, epoch: int) -> np.ndarray:
    return training_batches(len(digits()[1]), BATCH, seed=seed, epoch=epoch)


def finite(value: jax.Array) -> float | None:
    return float(value) if np.isfinite(value) else None  # JSON has no number for the others


def train(program: Callable[..., Any], name: str, seed: int, epochs: int = EPOCHS) -> tuple[Tree, dict[str, Any]]:
    """The weights after training, each epoch's mean loss, and the test accuracy at the end."""
    params = start(name, seed)
    velocity, losses = jax.tree.map(jnp.zeros_like, params), []
    for epoch in range(epochs):
        rate = RATES.get(name, RATE) * (1 - epoch / epochs)
        params, velocity, of_steps = program(params, velocity, order(seed, epoch), rate, MOMENTUM)
        losses.append(finite(of_steps.mean()))
    return params, {"seed": seed, "losses": losses, "accuracy": float(accuracy(name)(params))}


def gradient(program: Callable[..., Any], params: Tree) -> Tree:
    """The gradient's sum over one epoch's batches at fixed weights: with rate 0 and momentum 1 it is the velocity."""
    zeros = jax.tree.map(jnp.zeros_like, params)
    return program(params, zeros, order(0, 0), 0.0, 1.0)[1]


def compared(right: Tree, wrong: Tree) -> dict[str, float | None]:
    """How far apart two gradients are: the largest relative difference of any parameter array, and the angle of all.

    None stands for what is not finite, which JSON has no number for."""
    pairs = [
        (np.asarray(r, np.float64), np.asarray(w, np.float64))
        for r, w in zip(jax.tree.leaves(right), jax.tree.leaves(wrong), strict=True)
    ]
    r, w = (np.concatenate([pair[k].ravel() for pair in pairs]) for k in (0, 1))
    lengths = np.linalg.norm(r) * np.linalg.norm(w)
    if not 0 < lengths < np.inf:
        return {"difference": None, "degrees": None}
    difference = max(np.linalg.norm(r - w) / np.linalg.norm(r) for r, w in pairs)
    return {"difference": float(difference), "degrees": float(np.degrees(np.arccos(np.clip(r @ w / lengths, -1, 1))))}
