"""Gradient norms, which a training step measures now and then."""

import jax
import numpy as np
import optax
import pytest

from purecnn import nn
from purecnn.chain import Chain
from purecnn.data.augmentation import random_warp
from purecnn.train.step import initial_state, training_step
from tests.train.small import CROSS_ENTROPY, SGD, SMALL, digits, leaves
from verify.running import quickly


def test_they_are_those_of_the_layers_gradients_at_every_third_step():
    """For plain SGD with rate 1 a gradient is what the weights lose in one step."""
    net, (x, labels) = (
        Chain("net", (*SMALL.layers[:3], nn.residual(nn.conv2d(3, 1)), *SMALL.layers[3:])),
        digits(8),
    )
    step = quickly(training_step(net, CROSS_ENTROPY, optax.sgd(1.0), norms_every=3))
    now = initial_state(net, optax.sgd(1.0), (8, 8, 1), seed=0)
    now = now._replace(params=jax.tree.map(lambda w: w / 4, now.params))
    for number in range(5):
        after, measured = step(now, x, labels)
        if number % 3:
            np.testing.assert_array_equal(measured.norms, [-1, -1, -1])
        else:
            lost = jax.tree.map(lambda a, b: np.asarray(a, np.float64) - np.asarray(b), now.params, after.params)
            norms = [np.sqrt(sum((w**2).sum() for w in jax.tree.leaves(layer))) for layer in lost if layer]
            np.testing.assert_allclose(measured.norms, norms, rtol=1e-4)
        now = after


@pytest.mark.slow
def test_measuring_them_changes_no_bit_of_the_weights():
    """Where the norms are not used, the compiler leaves them out."""
    step, (x, labels) = training_step(SMALL, CROSS_ENTROPY, SGD, random_warp), digits(16)
    start = initial_state(SMALL, SGD, (8, 8, 1), seed=2)

    def steps(one):
        return jax.jit(lambda now: jax.lax.scan(lambda now, _: one(now, x, labels), now, length=9))(start)[0]

    with_norms, without = steps(step), steps(lambda *args: (step(*args)[0], None))
    assert int(with_norms.step) == 9
    for a, b in zip(leaves(with_norms), leaves(without), strict=True):
        np.testing.assert_array_equal(a, b)
