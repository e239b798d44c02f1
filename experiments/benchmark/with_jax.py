"""Whole training steps in JAX: purecnn's and autodiff of plain `lax`, SGD with momentum in both; forward alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

import purecnn
from experiments.benchmark.nets import Net, example, images, plain_logits, plain_loss
from purecnn.train.objectives import OBJECTIVES
from purecnn.train.step import TrainState, training_step


def optimizer(net: Net) -> optax.GradientTransformation:
    return optax.sgd(net.learning_rate, momentum=0.9)


class Way:
    """A step that can be run again and again on its own copy of the state; donated, so it is handed on."""

    def __init__(self, step: Callable, state, *data):
        self.step, self.state, self.data = jax.jit(step, donate_argnums=0), state, data

    def __call__(self):
        self.state, loss = self.step(self.state, *self.data)
        return jax.block_until_ready((self.state, loss))

    def compile(self) -> dict[str, float]:
        """Compile ahead of time; bytes read and written, and of temporary arrays, as XLA counts them."""
        self.step = self.step.lower(self.state, *self.data).compile()
        cost, memory = self.step.cost_analysis() or {}, self.step.memory_analysis()
        return {"bytes": cost.get("bytes accessed", 0.0), "temporaries": memory.temp_size_in_bytes}

    def steps(self, n: int) -> float:
        """`n` steps without waiting between them, as in training; the loss of the last."""
        for _ in range(n):
            self.state, loss = self.step(self.state, *self.data)
        return float(jax.block_until_ready((self.state, loss))[1])


def purecnn_step(net: Net, precision=jnp.float32) -> Way:
    (params, x, labels), sgd = example(net), optimizer(net)
    now = TrainState(
        params,
        net.chain.init_state(net.shape),
        sgd.init(params),
        jax.random.key(0),
        jnp.zeros((), jnp.int32),
    )
    step = training_step(net.chain, OBJECTIVES["softmax_cross_entropy"], sgd, precision=precision)

    def with_loss(now, x, labels):
        now, measured = step(now, x, labels)
        return now, measured.loss

    return Way(with_loss, now, x.astype(precision), labels)


def autodiff_step(net: Net, precision=jnp.float32) -> Way:
    (params, x, labels), sgd = example(net), optimizer(net)

    def step(state, x, labels):
        params, opt_state = state

        def loss(p):
            return plain_loss(net, jax.tree.map(lambda a: a.astype(precision), p), x, labels)

        loss, gradient = jax.value_and_grad(loss)(params)
        updates, opt_state = sgd.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    return Way(step, (params, sgd.init(params)), x.astype(precision), labels)


def gradients(net: Net, loss: Callable):
    params, x, labels = example(net)
    return jax.jit(jax.value_and_grad(lambda p: loss(net, p, x, labels)))(params)


def purecnn_gradients(net: Net):
    params, x, labels = example(net)
    state = net.chain.init_state(net.shape)
    return jax.jit(lambda p: purecnn.backprop(net.chain, p, x, labels, state=state, train=True, key=jax.random.key(0)))(
        params
    )


def forwards(net: Net):
    """({way: jitted function of (params, x) -> y}, its arguments)."""
    args = net.chain.init(jax.random.key(0), net.shape), images(net)
    return {"purecnn": jax.jit(net.chain.apply), "autodiff": jax.jit(lambda p, x: plain_logits(net, p, x))}, args
