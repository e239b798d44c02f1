"""What one gradient per sample costs: vmap of our rules, vmap of autodiff, and loops over the samples."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import purecnn
from experiments.benchmark.measure import taking_turns
from experiments.benchmark.nets import NETS, plain_loss
from experiments.benchmark.run import apart

LENET = NETS["lenet"]


def ours(params, x, label):
    return purecnn.softmax_cross_entropy(LENET.chain.apply(params, x[None]), label[None])[0]


def plain(params, x, label):
    return plain_loss(LENET, params, x[None], label[None])


def stacked(loss):
    return lambda params, x, labels: jax.vmap(jax.grad(loss), (None, 0, 0))(params, x, labels)


def looped(loss):
    return lambda params, x, labels: jax.lax.map(lambda sample: jax.grad(loss)(params, *sample), (x, labels))


def python_loop(loss):
    """Not jitted as a whole: one call of a compiled gradient per sample."""
    one = jax.jit(jax.grad(loss))

    def run(params, x, labels):
        each = [one(params, *sample) for sample in zip(x, labels, strict=True)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)

    return run


def cost(size: int, samples: int, rounds: int, every_way: bool = True) -> dict[str, Any]:
    """How far each way's gradients are from autodiff's; milliseconds; ratios to autodiff's vmap, round by round.

    "mean" is the gradient of the batch's mean loss by our rules: what it costs not to ask for each sample's own.
    """
    shape = (size, size, 1)
    params = LENET.chain.init(jax.random.key(0), shape)
    x = jax.random.normal(jax.random.key(1), (samples, *shape))
    labels = jax.random.randint(jax.random.key(2), (samples,), 0, LENET.classes)
    functions = {
        "purecnn": jax.jit(stacked(ours)),
        "autodiff": jax.jit(stacked(plain)),
    }
    if every_way:
        functions["purecnn, lax.map"] = jax.jit(looped(ours))
        functions["autodiff, lax.map"] = jax.jit(looped(plain))
        functions["purecnn, Python loop"] = python_loop(ours)
        functions["autodiff, Python loop"] = python_loop(plain)
    # Rows of x as separate arrays, so that the loop in Python times no slicing.
    data = {name: (list(x), list(labels)) if "Python" in name else (x, labels) for name in functions}
    gradients = {name: function(params, *data[name]) for name, function in functions.items()}
    reference = gradients["autodiff"]
    equal = {
        name: max(apart(a, b) for a, b in zip(jax.tree.leaves(g), jax.tree.leaves(reference), strict=True))
        for name, g in gradients.items()
    }
    assert max(equal.values()) < 1e-5, f"not the same gradients: {equal}"
    functions["purecnn, mean"] = jax.jit(lambda p, x, labels: purecnn.backprop(LENET.chain, p, x, labels)[1])
    mean = functions["purecnn, mean"](params, x, labels)
    for a, b in zip(jax.tree.leaves(mean), jax.tree.leaves(gradients["purecnn"]), strict=True):
        np.testing.assert_allclose(a, b.mean(axis=0), rtol=1e-4, atol=1e-6)
    data["purecnn, mean"] = (x, labels)

    def run(name):
        return jax.block_until_ready(functions[name](params, *data[name]))

    ways = {name: partial(run, name) for name in functions}
    return {
        name: {"ms": round(timed.median_ms, 2), "of_autodiff": round(timed.ratio or 0, 3), "apart": equal.get(name)}
        for name, timed in taking_turns(ways, rounds).items()
    }
