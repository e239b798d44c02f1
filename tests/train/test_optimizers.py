"""Every optimiser and schedule by name against its formula, on a problem of one kernel and one bias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.train.config import Config
from purecnn.train.optimizers import make_optimizer

PARAMS = [{"w": jnp.array([[2.0, -1.0]]), "b": jnp.array([3.0, 1.0])}]
GRADIENT = [{"w": jnp.array([[0.5, 0.25]]), "b": jnp.array([-1.0, 2.0])}]


def updates(config, steps, total=10):
    """The update of each of `steps` steps with the same gradient, parameters standing still."""
    optimizer = make_optimizer(config, total)
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam raises a float to an int32 power
        state, seen = optimizer.init(PARAMS), []
        for _ in range(steps):
            update, state = optimizer.update(GRADIENT, state, PARAMS)
            seen.append(update[0])
    return seen


def test_without_momentum_and_decay_it_is_the_lectures_update():
    (update,) = updates(Config(momentum=0.0, weight_decay=0.0, schedule="constant", learning_rate=0.1), 1)
    np.testing.assert_allclose(update["w"], -0.1 * GRADIENT[0]["w"])
    np.testing.assert_allclose(update["b"], -0.1 * GRADIENT[0]["b"])


def test_momentum_sums_past_gradients():
    steps = updates(Config(momentum=0.5, weight_decay=0.0, schedule="constant", learning_rate=0.1), 3)
    for update, factor in zip(steps, (1, 1.5, 1.75), strict=True):
        np.testing.assert_allclose(update["b"], -0.1 * factor * GRADIENT[0]["b"], rtol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_weight_decay_pulls_kernels_and_leaves_biases(optimizer):
    options = {"optimizer": optimizer, "momentum": 0.0, "schedule": "constant", "learning_rate": 0.1}
    (plain,) = updates(Config(weight_decay=0.0, **options), 1)
    (decayed,) = updates(Config(weight_decay=0.5, **options), 1)
    np.testing.assert_array_equal(plain["b"], decayed["b"])
    expected = {
        "sgd": -0.1 * 0.5 * PARAMS[0]["w"],
        # Adam sees g + 0.5 w, which turns the second entry's sign; its first step is the sign times the rate.
        "adam": -0.1 * (jnp.sign(GRADIENT[0]["w"] + 0.5 * PARAMS[0]["w"]) - jnp.sign(GRADIENT[0]["w"])),
        "adamw": -0.1 * 0.5 * PARAMS[0]["w"],
    }[optimizer]
    np.testing.assert_allclose(decayed["w"] - plain["w"], expected, rtol=1e-4, atol=1e-6)
    assert (expected != 0).any()


def test_cosine_falls_from_the_rate_to_nothing_over_the_run():
    steps = updates(Config(momentum=0.0, weight_decay=0.0, learning_rate=0.2), 11, total=10)
    rates = [float(-update["b"][1] / GRADIENT[0]["b"][1]) for update in steps]
    np.testing.assert_allclose(rates, 0.1 * (1 + np.cos(np.pi * np.arange(11) / 10)), atol=1e-6)
