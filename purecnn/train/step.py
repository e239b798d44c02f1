"""One training step for any optax optimiser, and several of them in one dispatch.

The gradient comes from the chain: its forward list, the loss's pair, its backward list. JAX differentiates nothing.
The whole data set is on the device and a step is told which samples to take, or a dispatch is given its own samples.
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
from purecnn.data.dataset import to_float
from purecnn.data.mixing import Mixing
from purecnn.train.compilation import run_once
from purecnn.train.freezing import with_frozen
from purecnn.train.objectives import Objective

Augment = Callable[[Array, Array], Array]  # (key, images) -> images
NORMS_EVERY = 8  # steps: so they take 0.5 % of LeNet's on a CPU, and at every step 2.6 % (experiments/gradient_norms)


class TrainState(NamedTuple):
    """All that a step changes; a run resumes from it as if it had never stopped."""

    params: list[Params]
    state: list[Params]  # running statistics, see Chain.init_state
    opt_state: Any
    key: Array  # the run's; a step's own is folded from it and the step's number
    step: Array  # steps done, int32


class Measured(NamedTuple):
    """Of one step: the mean loss of its batch before the update, and how many predictions were right.

    `norms` has an entry for every layer with trained parameters, in the chain's order: its gradient norm, or −1 at
    steps where it is not measured.
    """

    loss: Array
    correct: Array
    norms: Array


def initial_state(
    net: Chain, optimizer: optax.GradientTransformation, input_shape: tuple[int, ...], seed: int, result: Any = None
) -> TrainState:
    """Where a run begins. Raises ValueError where `net` cannot take samples of `input_shape`.

    `result` is the sharding of all of it, where there are several devices.
    """

    def start(seed):  # jitted: one program to compile instead of one for each shape of a random draw
        init_key, run_key = jax.random.split(jax.random.key(seed))
        params, state = net.init(init_key, input_shape), net.init_state(input_shape)
        return TrainState(params, state, optimizer.init(params), run_key, jnp.zeros((), jnp.int32))

    return run_once(start, np.uint32(seed), result=result)


def training_step(
    net: Chain,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    augment: Augment = lambda key, x: x,
    precision: Any = jnp.float32,
    norms_every: int = NORMS_EVERY,
    frozen: frozenset[int] = frozenset(),
    frozen_statistics: bool = False,
    mix: Mixing | None = None,
) -> Callable[..., Any]:
    """A pure function (TrainState, x, labels) -> (TrainState, Measured) for one batch; not jitted yet.

    With the `precision` bfloat16 the two lists are computed in it, sums inside the rules in float32; the weights that
    are kept, the loss, running statistics and the optimiser's update stay float32. Layers whose indices are in `frozen`
    run as they do without `train`; `optimizer` must not change their parameters. With `frozen_statistics` every batch
    normalisation does so too. `objective` must take the labels that `mix` returns.
    """
    net = with_frozen(net, frozen, frozen_statistics)

    def step(now: TrainState, x: Array, labels: Array) -> tuple[TrainState, Measured]:
        augment_key, net_key = jax.random.split(jax.random.fold_in(now.key, now.step))
        x, wanted = augment(augment_key, to_float(x)), labels
        if mix is not None:
            x, wanted = mix(jax.random.fold_in(augment_key, 1), x, labels)
        x = x.astype(precision)
        weights = _cast(now.params, precision)
        y, state, residuals = net.forward(weights, x, state=now.state, train=True, key=net_key)
        y = y.astype(jnp.float32)
        losses, loss_residuals = objective.fwd(y, objective.target(wanted, y))
        y_bar, *_ = objective.bwd(loss_residuals, jnp.full_like(losses, 1 / len(losses)))
        _, gradient = net.backward(residuals, y_bar.astype(precision), train=True)

        gradient = _cast(gradient, jnp.float32)
        updates, opt_state = optimizer.update(gradient, now.opt_state, now.params)
        params: Any = optax.apply_updates(now.params, updates)
        trained = [g for i, g in enumerate(gradient) if i not in frozen]
        norms = jax.lax.cond(now.step % norms_every == 0, _norms, lambda g: -jnp.ones(len(_weighted(g))), trained)
        correct = (y.argmax(axis=1).astype(labels.dtype) == labels).sum()
        return TrainState(params, state, opt_state, now.key, now.step + 1), Measured(losses.mean(), correct, norms)

    return step


def _weighted(gradient: list[Params]) -> list[list[Array]]:
    """The gradient of every layer that has parameters."""
    return [leaves for leaves in map(jax.tree.leaves, gradient) if leaves]


def _norms(gradient: list[Params]) -> Array:
    return jnp.stack([jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in leaves)) for leaves in _weighted(gradient)])


def _cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def steps_in_one_dispatch(step: Callable[..., Any], result: Any = None) -> jax.stages.Wrapped:
    """Jit (TrainState, images, labels, indices) -> (TrainState, Measured): one `step` per row of `indices` (K, N).

    Without `indices` (None), images and labels are those of the K steps, (K, N, …). The TrainState that goes in is
    donated: its memory becomes that of the one that comes out. What was measured has a leading axis of K, so that the
    host can say at which step a loss went wrong. `result` is the sharding of all that comes out, where there are
    several devices.
    """

    def steps(now: TrainState, images: Array, labels: Array, indices: Array | None) -> tuple[TrainState, Measured]:
        if indices is None:
            return jax.lax.scan(lambda now, batch: step(now, *batch), now, (images, labels))
        return jax.lax.scan(lambda now, batch: step(now, images[batch], labels[batch]), now, indices)

    return jax.jit(steps, donate_argnums=0, out_shardings=result)


def evaluation(
    net: Chain, objective: Objective, result: Any = None, see: Callable[[Array], Array] = lambda x: x
) -> jax.stages.Wrapped:
    """Jit (params, state, images, labels, indices) -> losses, predictions: both (K, N), one per entry of `indices`.

    Without `indices` (None), images and labels are those of the K batches, (K, N, …).
    `result` is the sharding of both, where there are several devices; `see` is done to pixels before the net has them.
    """

    def evaluate(params, state, images, labels, indices):
        def one(x, labels):
            y = net.apply(params, see(to_float(x)), state=state)
            losses, _ = objective.fwd(y, objective.target(labels, y))
            return losses, y.argmax(axis=1)

        if indices is None:
            return jax.lax.map(lambda batch: one(*batch), (images, labels))
        return jax.lax.map(lambda batch: one(images[batch], labels[batch]), indices)

    return jax.jit(evaluate, out_shardings=result)
