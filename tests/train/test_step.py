import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from purecnn import nn, softmax_cross_entropy
from purecnn.chain import Chain
from purecnn.data.augmentation import random_flip, random_warp
from purecnn.data.dataset import to_float
from purecnn.data.mixing import Mixed
from purecnn.models import lenet, mlp
from purecnn.train.objectives import OBJECTIVES, mixed, smoothed
from purecnn.train.step import evaluation, initial_state, steps_in_one_dispatch, training_step
from tests.sampling import one_in
from tests.train.small import CROSS_ENTROPY, SGD, SMALL, assert_close, copied, digits, leaves, norm_net
from verify.running import quickly

PLATFORMS = ("cpu", "cuda", "tpu")


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD,
        optax.adamw(0.01, weight_decay=0.1),
        optax.chain(optax.clip_by_global_norm(0.1), optax.add_decayed_weights(0.01), SGD),
    ],
)
def test_a_step_is_jax_grad_and_optax_by_hand(optimizer):
    now, (x, labels) = initial_state(SMALL, optimizer, (8, 8, 1), seed=3), digits(16)

    def mean_loss(params):
        return softmax_cross_entropy(SMALL.apply(params, x), labels).mean()

    with jax.numpy_dtype_promotion("standard"):  # optax's Adam raises a float to an int32 power
        loss, gradient = quickly(jax.value_and_grad(mean_loss))(now.params)
        updates, _ = optimizer.update(gradient, now.opt_state, now.params)
        expected = optax.apply_updates(now.params, updates)
        then, measured = quickly(training_step(SMALL, CROSS_ENTROPY, optimizer))(now, x, labels)
    assert_close(then.params, expected, 1e-6)
    np.testing.assert_allclose(measured.loss, loss, rtol=1e-6)
    guesses = SMALL.apply(now.params, x).argmax(axis=1)
    assert int(measured.correct) == int((guesses == labels).sum())
    assert int(then.step) == 1


def test_the_squared_error_is_that_to_one_hot_labels():
    net, (x, labels) = mlp(10, hidden=(8,)), digits(6)
    now = initial_state(net, SGD, (8, 8, 1), seed=0)
    _, measured = quickly(training_step(net, OBJECTIVES["squared_error"], SGD))(now, x, labels)
    y = np.asarray(net.apply(now.params, x))
    np.testing.assert_allclose(measured.loss, ((y - np.eye(10)[labels]) ** 2).sum(axis=1).mean(), rtol=1e-5)


def test_steps_in_one_dispatch_are_the_same_steps_one_by_one_to_the_bit():
    (images, labels), rng = digits(64), np.random.default_rng(0)
    indices = rng.integers(0, 64, (4, 8)).astype(np.int32)
    steps = steps_in_one_dispatch(training_step(SMALL, CROSS_ENTROPY, SGD))
    at_once, measured = steps(initial_state(SMALL, SGD, (8, 8, 1), seed=0), images, labels, indices)
    now, losses = initial_state(SMALL, SGD, (8, 8, 1), seed=0), []
    for batch in indices:
        now, one = steps(now, images, labels, batch[None])
        losses.append(float(one.loss[0]))
    assert measured.loss.tolist() == losses
    for a, b in zip(leaves(at_once), leaves(now), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_step_in_a_scan_is_the_step_outside_it_to_rounding():
    (images, labels), step = digits(32), training_step(SMALL, CROSS_ENTROPY, SGD)
    now = initial_state(SMALL, SGD, (8, 8, 1), seed=0)
    alone, _ = quickly(step)(now, images, labels)
    indices = np.arange(32, dtype=np.int32)[None]
    scanned, _ = steps_in_one_dispatch(step)(copied(now), images, labels, indices)
    assert_close(scanned.params, alone.params, 1e-6)


def test_what_goes_in_is_donated_and_the_data_is_not():
    (images, labels), now = digits(16), initial_state(SMALL, SGD, (8, 8, 1), seed=0)
    steps = steps_in_one_dispatch(training_step(SMALL, CROSS_ENTROPY, SGD))
    steps(now, images, labels, np.arange(16, dtype=np.int32).reshape(2, 8))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(now))
    assert not images.is_deleted()
    assert not labels.is_deleted()


def test_running_statistics_come_back_and_follow_the_batches():
    net, (images, labels) = norm_net(), digits(16)
    now = initial_state(net, SGD, (8, 8, 1), seed=0)
    then, _ = quickly(training_step(net, CROSS_ENTROPY, SGD))(now, images, labels)
    _, expected = quickly(lambda p, s, x: net.apply_with_state(p, x, state=s, train=True))(
        now.params, now.state, images
    )
    assert_close(then.state, expected, 1e-5)
    before, after = np.asarray(now.state[1]["mean"]), np.asarray(then.state[1]["mean"])
    assert (before != after).all()


def test_every_step_has_its_own_noise():
    """A net of dropout only: two steps on one batch drop different units, and a second run drops the same ones."""
    net = Chain("noisy", (nn.flatten(), nn.dropout(0.5), nn.dense(10)))
    (images, labels), still = digits(8), optax.sgd(0.0)
    steps = quickly(steps_in_one_dispatch(training_step(net, CROSS_ENTROPY, still)))
    indices = np.tile(np.arange(8, dtype=np.int32), (3, 1))
    losses = [
        steps(initial_state(net, still, (8, 8, 1), seed), images, labels, indices)[1].loss.tolist() for seed in (0, 0)
    ]
    assert len(set(losses[0])) == 3
    assert losses[0] == losses[1]


def test_augmentation_is_applied_with_a_fresh_key_each_step():
    (images, labels), still = digits(8), optax.sgd(0.0)

    def brighten(key, x):
        return x * jax.random.uniform(key, (), x.dtype)

    step = training_step(SMALL, CROSS_ENTROPY, still, brighten)
    indices = np.tile(np.arange(8, dtype=np.int32), (3, 1))
    now = initial_state(SMALL, still, (8, 8, 1), seed=0)
    _, measured = quickly(steps_in_one_dispatch(step))(now, images, labels, indices)
    assert len(set(measured.loss.tolist())) == 3


def test_evaluation_gives_each_samples_own_loss_and_prediction():
    net, (images, labels) = norm_net(), digits(12)
    now = initial_state(net, SGD, (8, 8, 1), seed=0)
    indices = np.array([[3, 0, 7], [11, 11, 5]], np.int32)
    losses, guesses = quickly(evaluation(net, CROSS_ENTROPY))(now.params, now.state, images, labels, indices)
    y = net.apply(now.params, images, state=now.state)
    expected = softmax_cross_entropy(y, labels)
    np.testing.assert_allclose(losses, np.asarray(expected)[indices], rtol=1e-5)
    np.testing.assert_array_equal(guesses, np.asarray(y.argmax(axis=1))[indices])


def test_the_whole_step_lowers_for_every_platform_from_here():
    """LeNet on 28×28: forward, loss, backward and update, several steps in one dispatch."""
    net = lenet(10)
    now = jax.eval_shape(lambda: initial_state(net, SGD, (28, 28, 1), seed=0))
    steps = steps_in_one_dispatch(training_step(net, CROSS_ENTROPY, SGD, random_warp))
    images = jax.ShapeDtypeStruct((256, 28, 28, 1), jnp.float32)
    labels = jax.ShapeDtypeStruct((256,), jnp.int32)
    indices = jax.ShapeDtypeStruct((2, 64), jnp.int32)
    exported = jax.export.export(steps, platforms=PLATFORMS)(now, images, labels, indices)
    assert exported.platforms == PLATFORMS
    module = exported.mlir_module()
    assert "stablehlo.convolution" in module
    assert "stablehlo.dot_general" in module
    assert "select_and_scatter" not in module  # the op that GPUs' deterministic mode refuses


@pytest.mark.parametrize("net", one_in(2, [norm_net(), SMALL]), ids=lambda net: net.name)
def test_in_bfloat16_it_learns_nearly_the_same_and_what_is_kept_stays_float32(net):
    (images, labels), rng = digits(512), np.random.default_rng(0)
    indices = np.stack([rng.permutation(512)[:32] for _ in range(40)]).astype(np.int32)
    losses, kept = {}, {}
    for precision in ("float32", "bfloat16"):
        step = training_step(net, CROSS_ENTROPY, SGD, random_flip, jnp.dtype(precision))
        steps = quickly(steps_in_one_dispatch(step), once=False)
        now, measured = steps(initial_state(net, SGD, (8, 8, 1), 0), images, labels, indices)
        losses[precision], kept[precision] = np.asarray(measured.loss), now
    then, low = losses["float32"], losses["bfloat16"]
    assert then[-5:].mean() < then[:5].mean()
    np.testing.assert_allclose(low, then, rtol=0.05)
    assert (low != then).any()
    dtypes = [jax.tree.map(lambda leaf: leaf.dtype, (now.params, now.state, now.opt_state)) for now in kept.values()]
    assert dtypes[0] == dtypes[1]


def test_whole_numbers_as_pixels_are_the_same_as_their_share_of_255():
    (images, labels), indices = digits(16), np.arange(16, dtype=np.int32)[None]
    whole = (images * 255).astype(jnp.uint8)
    steps = quickly(steps_in_one_dispatch(training_step(SMALL, CROSS_ENTROPY, SGD)))
    start = initial_state(SMALL, SGD, (8, 8, 1), seed=0)
    now, _ = steps(copied(start), whole, labels, indices)
    then, _ = steps(start, to_float(whole), labels, indices)
    assert_close(now.params, then.params, 1e-6)


def test_smoothed_labels_change_the_training_loss_alone():
    (x, labels), now = digits(8), initial_state(SMALL, SGD, (8, 8, 1), seed=0)
    step = training_step(SMALL, smoothed(CROSS_ENTROPY, 0.1), SGD)
    _, measured = quickly(step)(now, x, labels)
    expected = softmax_cross_entropy(SMALL.apply(now.params, x), labels, label_smoothing=0.1)
    np.testing.assert_allclose(measured.loss, expected.mean(), rtol=1e-6)
    assert smoothed(CROSS_ENTROPY, 0.0) is CROSS_ENTROPY


def test_a_step_trains_on_the_images_and_labels_that_mix_makes():
    """A mixing that only reverses the batch gives the step on the reversed batch."""
    x, labels = digits(6)
    start = initial_state(SMALL, SGD, x.shape[1:], 0)

    def reversed_batch(key, x, labels):
        return x[::-1], Mixed(labels[::-1], jnp.zeros_like(labels), jnp.ones(len(labels)))

    step = quickly(training_step(SMALL, mixed(CROSS_ENTROPY), SGD, mix=reversed_batch))
    after, measured = step(start, x, labels)
    expected, expected_measured = quickly(training_step(SMALL, CROSS_ENTROPY, SGD))(start, x[::-1], labels[::-1])
    np.testing.assert_allclose(measured.loss, expected_measured.loss, rtol=1e-6)
    for found, wanted in zip(jax.tree.leaves(after.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
