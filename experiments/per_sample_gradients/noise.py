"""The simple noise scale of McCandlish et al. 2018, B = tr(Σ) / |G|²: G the gradient, Σ the covariance of a sample's.

From n gradients gᵢ with mean ḡ, both without bias:

    tr(Σ) = n / (n − 1) (mean |gᵢ|² − |ḡ|²)          |G|² = |ḡ|² − tr(Σ) / n

A batch of B samples has as much noise in its gradient as there is gradient.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

import purecnn
from experiments import training

RATE = 0.05


def per_sample(net: purecnn.Chain, params: Any, x: Any, labels: Any) -> Any:
    """The gradient of every sample, stacked."""

    def loss(params, x, label):
        return purecnn.softmax_cross_entropy(net.apply(params, x[None]), label[None])[0]

    return jax.vmap(jax.grad(loss), (None, 0, 0))(params, x, labels)


def noise_and_signal(gradients: Any) -> tuple[Any, Any]:
    """tr(Σ) and |G|², estimated from gradients with a leading axis."""
    n = len(jax.tree.leaves(gradients)[0])
    flat = jnp.concatenate([leaf.reshape(n, -1) for leaf in jax.tree.leaves(gradients)], axis=1)
    mean = flat.mean(axis=0)
    # Around the mean, not as a difference of squares, which late in training agree to most of their digits.
    trace = ((flat - mean[None]) ** 2).sum() / (n - 1)
    return trace, (mean**2).sum() - trace / n


def over_training(net: purecnn.Chain, seeds: int, epochs: int, samples: int) -> dict[str, Any]:
    """Before the first step and after every epoch: tr(Σ), |G|² and B, of every seed."""
    train = training.digits().train
    x, labels = jnp.asarray(train.images[:samples]), jnp.asarray(train.labels[:samples])

    def run(params, order):
        def gradient(params, x, labels):
            return purecnn.backprop(net, params, x, labels)

        _, _, after = training.train(gradient, optax.sgd(RATE, momentum=0.9), params, order, lambda params: params)
        return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), params, after)

    @jax.jit
    def measure(path):
        return jax.lax.map(lambda params: noise_and_signal(per_sample(net, params, x, labels)), path)

    paths = jax.jit(jax.vmap(run))(training.starts(net, seeds), training.orders(seeds, epochs))
    each = [measure(jax.tree.map(lambda a, s=s: a[s], paths)) for s in range(seeds)]
    reached = jax.jit(jax.vmap(jax.vmap(lambda params: training.test_accuracy(net, params))))(paths)
    return {
        "samples": samples,
        "rate": RATE,
        "trace": [[float(t) for t in trace] for trace, _ in each],
        "signal": [[float(s) for s in signal] for _, signal in each],
        "noise_scale": [[float(t / s) for t, s in zip(trace, signal, strict=True)] for trace, signal in each],
        "test_accuracy": [[round(float(a), 2) for a in row] for row in reached],
        "from_batches": from_batches(net, paths, x, labels, each),
    }


def from_batches(net, paths, x, labels, each, batch: int = 32, draws: int = 400) -> dict[str, Any]:
    """Mean |g|² of random batches of the lecture's two lists, over what the gradients per sample say it is: 1 but for
    the draw. Of the first seed, before training and after it.

    The batches are drawn from the same n samples, whose gradient is exactly ḡ and whose covariance (n − 1) / n Σ.
    """
    n = len(labels)
    chosen = jax.random.randint(jax.random.key(7), (draws, batch), 0, n)

    @jax.jit
    def squares(params):
        def one(rows):
            _, gradient = purecnn.backprop(net, params, x[rows], labels[rows])
            return sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(gradient))

        return jax.lax.map(one, chosen)

    ratios = {}
    for when, at in (("before", 0), ("after", -1)):
        found = squares(jax.tree.map(lambda a, at=at: a[0][at], paths))
        trace, signal = (float(part[at]) for part in each[0])
        expected = signal + trace / n + trace * (n - 1) / n / batch
        error = float(found.std()) / draws**0.5 / expected
        ratios[when] = {"ratio": round(float(found.mean()) / expected, 3), "standard_error": round(error, 3)}
    return ratios
