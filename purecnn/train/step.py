"""One training step for any optax optimiser, and several of them in one dispatch.

The gradient is the chain's own: its forward list, the loss's pair, its backward list. Nothing here is differentiated.
The data set lies on the device as a whole; a step is told which samples to take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from purecnn.annotations import Array
from purecnn.chain import Chain, Params
from purecnn.train.objectives import Objective


class TrainState(NamedTuple):
    """All that a step changes: a run goes on from here as if it had never stopped."""

    params: list[Params]
    state: list[Params]  # running statistics, see Chain.init_state
    opt_state: Any
    key: Array  # the run's; a step's own is folded from it and the step's number
    step: Array  # steps done, int32


class Measured(NamedTuple):
    """Of one step: the mean loss of its batch before the update, and how many predictions were right."""

    loss: Array
    correct: Array


def initial_state(
    net: Chain, optimizer: optax.GradientTransformation, input_shape: tuple[int, ...], seed: int
) -> TrainState:
    """Where a run begins. Raises ValueError where `net` cannot take samples of `input_shape`."""

    @jax.jit  # one program to compile instead of one for each shape of a random draw
    def start(seed):
        init_key, run_key = jax.random.split(jax.random.key(seed))
        params, state = net.init(init_key, input_shape), net.init_state(input_shape)
        return TrainState(params, state, optimizer.init(params), run_key, jnp.zeros((), jnp.int32))

    return start(np.uint32(seed))


def training_step(
    net: Chain,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    augment: Callable[[Array, Array], Array] = lambda key, x: x,
) -> Callable[..., Any]:
    """A pure function (TrainState, x, labels) -> (TrainState, Measured) for one batch; not jitted yet."""

    def step(now: TrainState, x: Array, labels: Array) -> tuple[TrainState, Measured]:
        augment_key, net_key = jax.random.split(jax.random.fold_in(now.key, now.step))
        x = augment(augment_key, x)
        y, state, residuals = net.forward(now.params, x, state=now.state, train=True, key=net_key)
        losses, loss_residuals = objective.fwd(y, objective.target(labels, y))
        y_bar, *_ = objective.bwd(loss_residuals, jnp.full_like(losses, 1 / len(losses)))
        _, gradient = net.backward(residuals, y_bar, train=True)

        updates, opt_state = optimizer.update(gradient, now.opt_state, now.params)
        params: Any = optax.apply_updates(now.params, updates)
        correct = (y.argmax(axis=1).astype(labels.dtype) == labels).sum()
        return TrainState(params, state, opt_state, now.key, now.step + 1), Measured(losses.mean(), correct)

    return step


def steps_in_one_dispatch(step: Callable[..., Any]) -> jax.stages.Wrapped:
    """Jit (TrainState, images, labels, indices) -> (TrainState, Measured): one `step` per row of `indices` (K, N).

    The TrainState that goes in is donated: its memory becomes that of the one that comes out. What was measured has a
    leading axis of K, so that the host can say at which step a loss went wrong.
    """

    def steps(now: TrainState, images: Array, labels: Array, indices: Array) -> tuple[TrainState, Measured]:
        return jax.lax.scan(lambda now, batch: step(now, images[batch], labels[batch]), now, indices)

    return jax.jit(steps, donate_argnums=0)


def evaluation(net: Chain, objective: Objective) -> jax.stages.Wrapped:
    """Jit (params, state, images, labels, indices) -> losses, predictions: both (K, N), one per entry of `indices`."""

    def evaluate(params, state, images, labels, indices):
        def one(batch):
            y = net.apply(params, images[batch], state=state)
            losses, _ = objective.fwd(y, objective.target(labels[batch], y))
            return losses, y.argmax(axis=1)

        return jax.lax.map(one, indices)

    return jax.jit(evaluate)
