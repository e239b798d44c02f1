"""The nets in Flax NNX. Importing this needs Flax."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.benchmark.nets import WITHOUT_PARAMETERS, Net, example
from experiments.benchmark.specs import BATCH_NORM, DROPOUT, LAYER_NORM, Conv, Dense, Pool, Residual


class Sequence(nnx.Module):
    """The operations of `spec` with `params`, which are purecnn's, computed in `dtype`."""

    def __init__(self, spec: tuple, params, rngs, dtype=None):
        self.layers = nnx.List([_layer(op, p, rngs, dtype) for op, p in zip(spec, params, strict=True)])

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Sum(nnx.Module):
    def __init__(self, body: Sequence, shortcut: Sequence):
        self.body, self.shortcut = body, shortcut

    def __call__(self, x):
        return self.body(x) + self.shortcut(x)


def _layer(op, p, rngs, dtype) -> Callable:
    if isinstance(op, Pool):
        k, s, edges = (op.window,) * 2, (op.stride,) * 2, [(op.padding,) * 2] * 2
        return lambda x: nnx.max_pool(x, k, strides=s, padding=edges)
    if isinstance(op, Residual):
        return Sum(
            *(Sequence(part, p[name], rngs, dtype) for part, name in ((op.body, "body"), (op.shortcut, "shortcut")))
        )
    if isinstance(op, Conv):
        inputs, edges = p["w"].shape[2] * op.groups, [(op.padding,) * 2] * 2
        options = {"strides": op.stride, "padding": edges, "feature_group_count": op.groups, "use_bias": op.bias}
        layer = nnx.Conv(inputs, op.features, (op.window,) * 2, **options, rngs=rngs, dtype=dtype)
    elif isinstance(op, Dense):
        layer = nnx.Linear(len(p["w"]), op.features, rngs=rngs, dtype=dtype)
    elif op == BATCH_NORM:
        layer = nnx.BatchNorm(
            len(p["scale"]), use_running_average=False, momentum=0.9, epsilon=1e-5, rngs=rngs, dtype=dtype
        )
    elif op == LAYER_NORM:
        layer = nnx.LayerNorm(len(p["scale"]), epsilon=1e-6, rngs=rngs, dtype=dtype)
    else:
        return (lambda x: x) if op == DROPOUT else WITHOUT_PARAMETERS[op]
    for name, array in p.items():
        getattr(layer, {"w": "kernel", "b": "bias"}.get(name, name))[...] = array
    return layer


class Way:
    """A training step; batch normalisation's statistics and the optimiser's state are updated in place."""

    def __init__(self, net: Net, optimizer: optax.GradientTransformation, precision=None):
        params, x, labels = example(net)
        self.data = (x if precision is None else x.astype(precision)), labels
        self.model = Sequence(net.spec, params, nnx.Rngs(0), precision)
        self.optimizer = nnx.Optimizer(self.model, optimizer, wrt=nnx.Param)

        @nnx.jit
        def step(model, optimizer, x, labels):
            def loss(model):
                logits = model(x).astype(jnp.float32)
                return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

            value, gradient = nnx.value_and_grad(loss)(model)
            optimizer.update(model, gradient)
            return value

        self.step = step

    def __call__(self):
        return self.steps(1)

    def steps(self, n: int) -> float:
        """`n` steps without waiting between them; the loss of the last."""
        for _ in range(n):
            loss = self.step(self.model, self.optimizer, *self.data)
        jax.block_until_ready(nnx.state(self.model))
        return float(loss)


def forward(net: Net, params, x) -> Callable[[], object]:
    model = Sequence(net.spec, params, nnx.Rngs(0))
    run = nnx.jit(lambda model, x: model(x))
    return lambda: jax.block_until_ready(run(model, jnp.asarray(x)))
