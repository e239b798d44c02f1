"""A layer that is not trained stays as it is to the bit; the others move as if it were a part of the data."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from purecnn import nn, softmax_cross_entropy
from purecnn.chain import Chain, backprop
from purecnn.train.config import Config
from purecnn.train.freezing import fine_tuning, frozen_layers, is_freeze, with_frozen
from purecnn.train.objectives import OBJECTIVES
from purecnn.train.optimizers import average_of, make_optimizer
from purecnn.train.step import initial_state, steps_in_one_dispatch, training_step

NET = Chain(
    "net",
    (nn.conv2d(3, 3), nn.batch_norm(), nn.relu(), nn.global_avg_pool(), nn.dropout(0.5), nn.dense(6), nn.dense(4)),
)
IMAGES = jnp.asarray(np.random.default_rng(0).random((8, 6, 6, 2), np.float32))
LABELS = np.arange(8, dtype=np.int32) % 4
RATE = 0.1


def trained(freeze, optimizer, steps=2):
    start = initial_state(NET, optimizer, (6, 6, 2), seed=0)
    before = jax.tree.map(np.asarray, start._replace(key=None))
    frozen = frozen_layers(freeze, start.params)
    step = training_step(NET, OBJECTIVES["softmax_cross_entropy"], optimizer, frozen=frozen)
    batches = np.tile(np.arange(8), (steps, 1))
    return before, *steps_in_one_dispatch(step)(start, IMAGES, LABELS, batches)


def sgd(freeze, layer_decay=1.0):
    return fine_tuning(optax.sgd(RATE, momentum=0.9), freeze, layer_decay)


def test_frozen_layers_and_their_statistics_stand_still_to_the_bit():
    before, after, measured = trained("0-5", sgd("0-5"))
    for i in range(6):
        assert jax.tree.all(jax.tree.map(np.array_equal, before.params[i], after.params[i])), i
        assert jax.tree.all(jax.tree.map(np.array_equal, before.state[i], after.state[i])), i
    assert not np.array_equal(before.params[6]["w"], after.params[6]["w"])
    assert measured.norms.shape == (2, 1)  # of the one layer that is trained


@pytest.mark.usefixtures("a_users_jax")
def test_the_average_of_frozen_layers_is_theirs_to_the_bit():
    before, after, _ = trained("0-5", make_optimizer(Config(freeze="0-5", ema=0.9, epochs=10), 4), steps=8)
    average = average_of(after.opt_state)
    assert jax.tree.all(jax.tree.map(np.array_equal, before.params[:6], average[:6]))
    assert not np.array_equal(before.params[6]["w"], average[6]["w"])


def test_two_frozen_nets_made_alike_are_equal_and_go_through_pickle():
    one, other = (with_frozen(Chain("net", (nn.dense(3), nn.dense(2))), frozenset({0})) for _ in range(2))
    assert one == other == pickle.loads(pickle.dumps(one))
    assert one != with_frozen(Chain("net", (nn.dense(3), nn.dense(2))), frozenset({1}))


def test_what_is_trained_moves_as_by_autodiff_of_the_loss_on_fixed_features():
    before, after, measured = trained("all-but-head", sgd("all-but-head"), steps=1)
    features = Chain("features", NET.layers[:-1]).apply(before.params[:-1], IMAGES, state=before.state[:-1])

    def loss(head):
        logits = features @ head["w"] + head["b"][None]
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

    value, gradient = jax.value_and_grad(loss)(before.params[-1])
    np.testing.assert_allclose(measured.loss[0], value, rtol=1e-5)
    for name in ("w", "b"):
        expected = before.params[-1][name] - RATE * gradient[name]
        np.testing.assert_allclose(after.params[-1][name], expected, rtol=1e-5, atol=1e-7)


def test_frozen_statistics_stand_still_in_blocks_too_and_the_gradient_is_autodiffs():
    block = (nn.conv2d(2, 3, padding="SAME"), nn.batch_norm(), nn.relu())
    net = Chain("net", (nn.residual(*block), nn.batch_norm(), nn.global_avg_pool(), nn.dense(4)))
    params, state = net.init(jax.random.key(0), (6, 6, 2)), net.init_state((6, 6, 2))
    state = jax.tree.map(lambda s: s + 0.5, state)
    still = with_frozen(net, frozenset(), statistics=True)

    def loss(params):
        return softmax_cross_entropy(net.apply(params, IMAGES, state=state), jnp.asarray(LABELS)).mean()

    _, after, _ = still.forward(params, IMAGES, state=state, train=True)
    assert jax.tree.all(jax.tree.map(np.array_equal, state, after))
    got = backprop(still, params, IMAGES, jnp.asarray(LABELS), state=state, train=True)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(jax.value_and_grad(loss)(params)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    _, moved, _ = net.forward(params, IMAGES, state=state, train=True)
    assert not jax.tree.all(jax.tree.map(np.array_equal, state, moved))


def test_no_backward_pass_is_computed_that_frozen_layers_alone_would_need():
    def operations(freeze):
        optimizer = sgd(freeze)
        start = initial_state(NET, optimizer, (6, 6, 2), seed=0)
        step = training_step(
            NET, OBJECTIVES["softmax_cross_entropy"], optimizer, frozen=frozen_layers(freeze, start.params)
        )
        return jax.jit(step).lower(start, IMAGES, jnp.asarray(LABELS)).compile().cost_analysis()["flops"]

    kernel_cotangent = 2 * 8 * 4 * 4 * 3 * 3 * 3 * 2
    assert operations(None) - operations("all-but-head") > kernel_cotangent


@pytest.mark.slow
def test_with_no_layer_frozen_all_move_and_statistics_too():
    before, after, _ = trained(None, sgd(None))
    moved = jax.tree.map(
        lambda a, b: not np.array_equal(a, b), (before.params, before.state), (after.params, after.state)
    )
    assert jax.tree.all(moved)


def test_the_optimiser_keeps_nothing_for_frozen_layers():
    params = NET.init(jax.random.key(0), (6, 6, 2))
    kept = jax.tree.leaves(sgd("all-but-head").init(params))
    assert [leaf.shape for leaf in kept if leaf.ndim] == [(4,), (6, 4)]


def test_the_rate_falls_by_a_factor_a_layer_from_the_last_to_the_first():
    params = NET.init(jax.random.key(0), (6, 6, 2))
    ones = jax.tree.map(jnp.ones_like, params)
    optimizer = sgd(None, layer_decay=0.5)
    updates, _ = optimizer.update(ones, optimizer.init(params), params)
    rates = [-float(jax.tree.leaves(layer)[0].ravel()[0]) for layer in updates if layer]
    np.testing.assert_allclose(rates, [RATE / 8, RATE / 4, RATE / 2, RATE], rtol=1e-6)


def test_the_config_reaches_the_optimiser():
    params = NET.init(jax.random.key(0), (6, 6, 2))
    ones = jax.tree.map(jnp.ones_like, params)
    config = Config(freeze="0", layer_decay=0.5, schedule="constant", weight_decay=0.0, learning_rate=0.1, epochs=1)
    optimizer = make_optimizer(config, 10)
    updates, _ = optimizer.update(ones, optimizer.init(params), params)
    assert not np.any(updates[0]["w"])
    np.testing.assert_allclose(updates[5]["b"], -0.05 * np.ones(6), rtol=1e-6)


def test_a_clipped_gradient_is_measured_over_what_is_trained():
    params = NET.init(jax.random.key(0), (6, 6, 2))
    huge = jax.tree.map(lambda p: jnp.full_like(p, 1e6), params)
    gradient = [*huge[:-1], jax.tree.map(lambda p: jnp.full_like(p, 0.01), params[-1])]
    config = Config(freeze="all-but-head", clip_norm=1.0, momentum=0.0, weight_decay=0.0, schedule="constant")
    optimizer = make_optimizer(config, 10)
    updates, _ = optimizer.update(gradient, optimizer.init(params), params)
    np.testing.assert_allclose(updates[-1]["b"], -config.learning_rate * 0.01 * np.ones(4), rtol=1e-6)


@pytest.mark.parametrize("freeze", ["9", "0-6", "5-3"])
def test_layers_that_are_not_there_and_nothing_to_train_are_refused(freeze):
    params = NET.init(jax.random.key(0), (6, 6, 2))
    with pytest.raises(ValueError, match=r"freeze: got .* expected some of the net's layers 0 to 6"):
        frozen_layers(freeze, params)


def test_other_words_are_refused_where_they_are_given():
    assert is_freeze("all-but-head")
    assert is_freeze("0-12,15")
    for text in ("head", "", "1,,2", "-1", 3):
        assert not is_freeze(text)
    with pytest.raises(ValueError, match=r"freeze: got 'head', expected all-but-head, layers such as"):
        Config(freeze="head")
    with pytest.raises(ValueError, match=r"layer_decay: got 0"):
        Config(layer_decay=0.0)
