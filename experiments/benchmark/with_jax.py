"""Whole training steps in JAX: purecnn's, autodiff of plain `lax`, and Flax NNX; SGD with momentum in all."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

import purecnn
from experiments.benchmark.nets import (
    DROPOUT,
    FLATTEN,
    NORM,
    RELU,
    Conv,
    Dense,
    Net,
    Pool,
    example,
    plain_loss,
    plain_norm,
)
from purecnn.train.objectives import OBJECTIVES
from purecnn.train.step import TrainState, training_step

OPTIMIZER = optax.sgd(0.01, momentum=0.9)


class Way:
    """A step that can be run again and again on its own copy of the state; donated, so it is handed on."""

    def __init__(self, step: Callable, state, *data):
        self.step, self.state, self.data = step, state, data

    def __call__(self):
        self.state, loss = self.step(self.state, *self.data)
        return jax.block_until_ready((self.state, loss))


def purecnn_step(net: Net) -> Way:
    params, x, labels = example(net)
    now = TrainState(
        params,
        net.chain.init_state(net.shape),
        OPTIMIZER.init(params),
        jax.random.key(0),
        jnp.zeros((), jnp.int32),
    )
    step = training_step(net.chain, OBJECTIVES["softmax_cross_entropy"], OPTIMIZER)
    return Way(jax.jit(step, donate_argnums=0), now, x, labels)


def autodiff_step(net: Net) -> Way:
    params, x, labels = example(net)

    def step(state, x, labels):
        params, opt_state = state
        loss, gradient = jax.value_and_grad(lambda p: plain_loss(net, p, x, labels))(params)
        updates, opt_state = OPTIMIZER.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    return Way(jax.jit(step, donate_argnums=0), (params, OPTIMIZER.init(params)), x, labels)


def gradients(net: Net, loss: Callable):
    params, x, labels = example(net)
    return jax.jit(jax.value_and_grad(lambda p: loss(net, p, x, labels)))(params)


def purecnn_gradients(net: Net):
    params, x, labels = example(net)
    return jax.jit(lambda p: purecnn.backprop(net.chain, p, x, labels))(params)


def flax_step(net: Net) -> Callable:
    """Raises ImportError where Flax is not installed."""
    from flax import nnx

    class Model(nnx.Module):
        def __init__(self, rngs):
            layers, shape = [], net.shape
            for op in net.spec:
                if isinstance(op, Conv):
                    size, sides = (op.window,) * 2, [(op.padding, op.padding)] * 2
                    layers.append(nnx.Conv(shape[-1], op.features, size, strides=op.stride, padding=sides, rngs=rngs))
                elif isinstance(op, Pool):
                    k, s = (op.window,) * 2, (op.stride,) * 2
                    layers.append(lambda x, k=k, s=s: nnx.max_pool(x, k, strides=s))
                elif isinstance(op, Dense):
                    layers.append(nnx.Linear(shape[-1], op.features, rngs=rngs))
                else:
                    layers.append(
                        {
                            RELU: nnx.relu,
                            NORM: plain_norm,
                            FLATTEN: lambda x: x.reshape(len(x), -1),
                            DROPOUT: lambda x: x,
                        }[op]
                    )
                sample = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
                shape = nnx.eval_shape(layers[-1], sample).shape[1:]
            self.layers = nnx.List(layers)

        def __call__(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    params, x, labels = example(net)
    model = Model(nnx.Rngs(0))
    for layer, p in zip(model.layers, params, strict=True):
        if p:
            layer.kernel[...], layer.bias[...] = p["w"], p["b"]
    optimizer = nnx.Optimizer(model, OPTIMIZER, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x, labels):
        def loss(model):
            return optax.softmax_cross_entropy_with_integer_labels(model(x), labels).mean()

        value, gradient = nnx.value_and_grad(loss)(model)
        optimizer.update(model, gradient)
        return value

    return lambda: jax.block_until_ready((step(model, optimizer, x, labels), nnx.state(model)))
