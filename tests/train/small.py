"""A small net on the digits, for the tests of training steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from purecnn import nn
from purecnn.chain import Chain
from purecnn.data.digits import read_digits
from purecnn.train.objectives import OBJECTIVES

CROSS_ENTROPY = OBJECTIVES["softmax_cross_entropy"]
SGD = optax.sgd(0.05, momentum=0.9)
# Every kind of layer that LeNet has, and a tenth of its time to compile.
SMALL = Chain(
    "small",
    (nn.conv2d(3, 3, padding="SAME"), nn.relu(), nn.max_pool2d(), nn.flatten(), nn.dense(10)),
)


def norm_net():
    return Chain("normal", (nn.conv2d(4, 3), nn.batch_norm(), nn.global_avg_pool(), nn.dense(10)))


def digits(samples):
    train = read_digits().train
    return jnp.asarray(train.images[:samples]), jnp.asarray(train.labels[:samples])


def copied(tree):
    """Donation destroys what goes in."""
    return jax.tree.map(jnp.copy, tree)


def leaves(now):
    return [np.asarray(leaf) for leaf in jax.tree.leaves((now.params, now.state, now.opt_state, now.step))]


def assert_close(got, expected, rtol):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(np.abs(b).max(), 1e-30))
