"""Every optimiser and schedule by name against its formula, on a problem of one kernel and one bias."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.train.config import Config
from purecnn.train.optimizers import average_of, make_optimizer, make_schedule

PARAMS = [{"w": jnp.array([[2.0, -1.0]]), "b": jnp.array([3.0, 1.0])}]
GRADIENT = [{"w": jnp.array([[0.5, 0.25]]), "b": jnp.array([-1.0, 2.0])}]


def updates(config, steps, total=10):
    """The update of each of `steps` steps with the same gradient, parameters standing still."""
    optimizer = make_optimizer(dataclasses.replace(config, epochs=1), total)
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


def test_nesterov_looks_ahead():
    (first, second) = updates(Config(optimizer="nesterov", momentum=0.5, weight_decay=0.0, schedule="constant"), 2)
    np.testing.assert_allclose(first["b"], -0.02 * 1.5 * GRADIENT[0]["b"], rtol=1e-6)
    np.testing.assert_allclose(second["b"], -0.02 * 1.75 * GRADIENT[0]["b"], rtol=1e-6)


def test_lion_and_the_adaptive_ones_have_a_first_step_that_is_known():
    sign, ones = jnp.sign(GRADIENT[0]["b"]), {"weight_decay": 0.0, "schedule": "constant", "learning_rate": 0.1}
    for optimizer, size in (("adam", 1.0), ("lion", 1.0), ("rmsprop", 0.1**-0.5), ("adagrad", None)):
        (update,) = updates(Config(optimizer=optimizer, momentum=0.0, **ones), 1)
        expected = 0.1 * size * sign if size else 0.1 * GRADIENT[0]["b"] / jnp.sqrt(0.1 + GRADIENT[0]["b"] ** 2)
        np.testing.assert_allclose(update["b"], -expected, rtol=1e-3, err_msg=optimizer)


def test_lamb_scales_its_step_by_the_length_of_the_weights():
    (update,) = updates(Config(optimizer="lamb", weight_decay=0.0, schedule="constant", learning_rate=0.1), 1)
    np.testing.assert_allclose(jnp.linalg.norm(update["w"]), 0.1 * jnp.linalg.norm(PARAMS[0]["w"]), rtol=1e-4)


def test_a_long_gradient_is_shortened_and_a_short_one_is_not():
    length = float(jnp.sqrt((GRADIENT[0]["w"] ** 2).sum() + (GRADIENT[0]["b"] ** 2).sum()))
    plain = {"momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "learning_rate": 1.0}
    (short,) = updates(Config(clip_norm=2 * length, **plain), 1)
    (long,) = updates(Config(clip_norm=length / 2, **plain), 1)
    np.testing.assert_allclose(short["b"], -GRADIENT[0]["b"], rtol=1e-6)
    np.testing.assert_allclose(long["b"], -GRADIENT[0]["b"] / 2, rtol=1e-6)


def test_accumulated_gradients_are_one_update_of_their_mean():
    options = {"momentum": 0.0, "weight_decay": 0.0, "learning_rate": 0.1, "accumulate": 3}
    seen = [update["b"] for update in updates(Config(schedule="constant", **options), 6)]
    for i, update in enumerate(seen):
        np.testing.assert_allclose(update, -0.1 * GRADIENT[0]["b"] if i % 3 == 2 else 0 * update, rtol=1e-6)


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


def rates(steps=8, **options):
    schedule = make_schedule(Config(learning_rate=0.8, epochs=2, **options), steps // 2)
    return [float(schedule(i)) for i in range(steps)]


def test_linear_step_and_constant_rates():
    np.testing.assert_allclose(rates(schedule="constant"), [0.8] * 8)
    np.testing.assert_allclose(rates(schedule="linear"), 0.8 * (1 - np.arange(8) / 8), rtol=1e-6)
    np.testing.assert_allclose(rates(schedule="step"), [0.8] * 4 + [0.08] * 2 + [0.008] * 2, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step"])
def test_warming_up_rises_from_nothing_and_then_the_schedule_begins(schedule):
    warm = rates(schedule=schedule, warmup_epochs=1.0)
    np.testing.assert_allclose(warm[:5], [0, 0.2, 0.4, 0.6, 0.8], rtol=1e-6)
    np.testing.assert_allclose(warm[4:], rates(schedule=schedule, steps=4), rtol=1e-6)


def test_a_schedule_counts_updates_not_steps():
    np.testing.assert_allclose(rates(schedule="linear", accumulate=2)[:4], [0.8, 0.6, 0.4, 0.2], rtol=1e-6)


def test_warming_up_for_the_whole_run_is_refused():
    with pytest.raises(ValueError, match=r"warmup_epochs: got 2\.0, expected fewer than the run's 2"):
        rates(warmup_epochs=2.0)


def test_the_average_of_the_weights_forgets_its_start_and_changes_no_update():
    config = Config(momentum=0.0, weight_decay=0.0, schedule="constant", learning_rate=0.1, ema=0.25)
    optimizer = make_optimizer(dataclasses.replace(config, epochs=1), 10)
    state, params, expected = optimizer.init(PARAMS), PARAMS, np.array(PARAMS[0]["b"])
    for n in range(4):
        update, state = optimizer.update(GRADIENT, state, params)
        np.testing.assert_allclose(update[0]["b"], -0.1 * GRADIENT[0]["b"])
        params = jax.tree.map(jnp.add, params, update)
        decay = min(0.25, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * np.array(params[0]["b"])
    np.testing.assert_allclose(average_of(state)[0]["b"], expected, rtol=1e-6)
    assert average_of(make_optimizer(Config(), 10).init(PARAMS)) is None


def test_with_accumulation_the_average_follows_the_updates_alone():
    config = Config(momentum=0.0, weight_decay=0.0, schedule="constant", ema=0.5, accumulate=2, epochs=1)
    optimizer = make_optimizer(config, 10)
    with jax.numpy_dtype_promotion("standard"):
        _, state = optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)
        np.testing.assert_array_equal(average_of(state)[0]["b"], PARAMS[0]["b"])
        update, state = optimizer.update(GRADIENT, state, PARAMS)
    expected = PARAMS[0]["b"] + 0.9 * update[0]["b"]  # the first decay is a tenth
    np.testing.assert_allclose(average_of(state)[0]["b"], expected, rtol=1e-6)
