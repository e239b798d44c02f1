"""What a step keeps between its forward and its backward pass, and how much memory its program takes."""

import math

import jax
import optax

import purecnn
from experiments.benchmark.nets import Net, example, plain_loss


def memory_of(net: Net) -> dict[str, dict[str, int]]:
    """Bytes, by way: `residuals`, and `temporaries` of the compiled gradient."""
    params, x, labels = jax.eval_shape(lambda: example(net))
    losses = {
        "purecnn": lambda p, x, labels: purecnn.softmax_cross_entropy(
            net.chain.apply(p, x, state=net.chain.init_state(net.shape), train=True, key=jax.random.key(0)), labels
        ).mean(),
        "autodiff": lambda p, x, labels: plain_loss(net, p, x, labels),
    }
    return {
        way: {"residuals": residual_bytes(loss, params, x, labels), "temporaries": temporaries(loss, params, x, labels)}
        for way, loss in losses.items()
    }


def residual_bytes(loss, params, x, labels) -> int:
    """Of the arrays that the pullback holds beside the arguments, each counted once, by its name in the trace."""

    def kept(params, x, labels):
        return jax.tree.leaves(jax.vjp(lambda p: loss(p, x, labels), params)[1])

    jaxpr = jax.make_jaxpr(kept)(params, x, labels).jaxpr
    held = {v for v in jaxpr.outvars if hasattr(v, "count")} - set(jaxpr.invars)
    return sum(math.prod(v.aval.shape) * v.aval.dtype.itemsize for v in held if hasattr(v.aval.dtype, "itemsize"))


def temporaries(loss, params, x, labels) -> int:
    """Of one compiled step of plain SGD, what XLA allocates beside arguments and results."""

    def step(params, x, labels):
        value, gradient = jax.value_and_grad(lambda p: loss(p, x, labels))(params)
        return optax.apply_updates(params, jax.tree.map(lambda g: -0.01 * g, gradient)), value

    return jax.jit(step, donate_argnums=0).lower(params, x, labels).compile().memory_analysis().temp_size_in_bytes
