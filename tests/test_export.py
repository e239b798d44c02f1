"""Portability from a machine with a CPU alone: a step with every rule in it lowers for CPUs, NVIDIA GPUs and TPUs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import blocks
from tests.oracles.roads import assert_trees_close

PLATFORMS = ("cpu", "cuda", "tpu")
LAYERS = (
    blocks.conv2d(4, 3, padding="SAME", groups=2),
    blocks.batch_norm(),
    blocks.relu(),
    blocks.local_response_norm(),
    blocks.max_pool2d(3, stride=2),
    blocks.add_input(blocks.conv2d(4, 3, padding="SAME", algorithm="im2col")),
    blocks.max_pool2d(2, stride=1, ties="split"),
    blocks.avg_pool2d(2, stride=1, padding=1),
    blocks.flatten(),
    blocks.dense(5),
    blocks.sigmoid(),
    blocks.dropout(0.5),
    blocks.dense(3),
)


def exported_step(dtype):
    net, shape, key = purecnn.Chain("net", LAYERS), (8, 8, 2), jax.random.key(0)
    state = net.init_state(shape, dtype)
    params = jax.tree.map(
        lambda p: jnp.full(p.shape, 0.1, p.dtype), jax.eval_shape(lambda: net.init(key, shape, dtype))
    )
    x, labels = jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)), dtype), jnp.array([0, 2])

    def step(params, x, labels):
        loss, grads = purecnn.backprop(net, params, x, labels, state=state, train=True, key=key)
        return loss, jax.tree.map(lambda p, g: p - g, params, grads)

    step = jax.jit(step)
    exported = jax.export.export(step, platforms=PLATFORMS)(params, x, labels)
    return step, exported, (params, x, labels)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_lowers_for_every_platform(dtype):
    _, exported, _ = exported_step(dtype)
    assert exported.platforms == PLATFORMS


def test_the_exported_step_is_the_same_step_here():
    step, exported, args = exported_step("float32")
    assert_trees_close(exported.call(*args), step(*args), 1e-5)
