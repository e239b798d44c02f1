import jax
import jax.numpy as jnp

import purecnn
from experiments.compile_time import run, scanned
from purecnn import nn
from tests.oracles.agreement import assert_trees_close
from verify.running import quickly

NET = purecnn.Chain("net", (nn.dense(6), *(nn.dense(6), nn.batch_norm(), nn.relu()) * 3, nn.dense(3)))


def test_runs_are_the_equal_blocks_of_a_chain():
    found = scanned.runs(NET, (5,))
    assert found == [scanned.Run(0, 1, 1), scanned.Run(1, 3, 3), scanned.Run(10, 1, 1)]
    resnet = scanned.runs(run.bottleneck_net(), (32, 32, 3))
    assert [(block.period, block.times) for block in resnet if block.times > 1] == [(2, 2), (2, 3), (2, 5), (2, 2)]


def test_scanned_blocks_have_the_gradients_of_the_two_lists():
    params, state = NET.init(jax.random.key(0), (5,)), NET.init_state((5,))
    x, labels = jax.random.normal(jax.random.key(1), (4, 5)), jnp.array([0, 1, 2, 1])

    @quickly
    def both(params):
        by_lists = purecnn.backprop(NET, params, x, labels, state=state, train=True)
        return scanned.backprop(NET, params, x, labels, state=state), by_lists

    assert_trees_close(*both(params), 1e-5)
