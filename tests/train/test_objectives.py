import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.data.mixing import Mixed
from purecnn.train.objectives import OBJECTIVES, balanced, mixed, smoothed, weighted


def test_a_rare_class_weighs_as_much_as_a_frequent_one():
    labels = np.array([0] * 6 + [1] * 2 + [3] * 1)
    weights = balanced(labels, 4)
    np.testing.assert_allclose(weights[labels].sum(), len(labels))
    np.testing.assert_allclose([weights[labels[labels == n]].sum() for n in (0, 1, 3)], [3, 3, 3])
    assert weights.dtype == np.float32


@pytest.mark.parametrize("name", OBJECTIVES)
def test_weighted_losses_and_their_gradient_are_the_plain_ones_times_the_weight(name):
    plain = OBJECTIVES[name]
    plain = smoothed(plain, 0.1) if name == "softmax_cross_entropy" else plain
    y = jax.random.normal(jax.random.key(0), (5, 3))
    labels, weights = jnp.array([0, 2, 1, 1, 0]), jnp.array([1.0, 0.5, 4.0])
    heavy, bar = weighted(plain, weights), jnp.full(5, 0.2)
    losses, residuals = heavy.fwd(y, heavy.target(labels, y))
    expected, kept = plain.fwd(y, plain.target(labels, y))
    np.testing.assert_allclose(losses, expected * weights[labels], rtol=1e-6)
    y_bar, plain_bar = heavy.bwd(residuals, bar)[0], plain.bwd(kept, bar)[0]
    np.testing.assert_allclose(y_bar, plain_bar * weights[labels][:, None], rtol=1e-5)


def test_a_mixed_image_weighs_as_either_label_does_in_proportion():
    plain, weights = OBJECTIVES["softmax_cross_entropy"], jnp.array([1.0, 0.5, 4.0])
    y = jax.random.normal(jax.random.key(0), (4, 3))
    labels, others, share = jnp.array([0, 2, 1, 1]), jnp.array([1, 2, 0, 2]), jnp.array([0.0, 0.2, 0.5, 1.0])
    both = mixed(weighted(plain, weights))
    losses, _ = both.fwd(y, both.target(Mixed(labels, others, share), y))
    one, other = (plain.fwd(y, which)[0] * weights[which] for which in (labels, others))
    np.testing.assert_allclose(losses, share * one + (1 - share) * other, rtol=1e-6)


def test_mixed_labels_are_those_in_proportion():
    """Against the loss with probabilities for labels, whatever else is done to it."""
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(6, 4)), jnp.float32)
    labels, others = jnp.asarray([0, 1, 2, 3, 0, 1]), jnp.asarray([3, 1, 0, 2, 2, 2])
    share = jnp.asarray([0.0, 0.2, 0.5, 0.9, 1.0, 0.3])
    soft = share[:, None] * jax.nn.one_hot(labels, 4) + (1 - share[:, None]) * jax.nn.one_hot(others, 4)
    for smoothing in (0.0, 0.1):
        plain = smoothed(OBJECTIVES["softmax_cross_entropy"], smoothing)
        both = mixed(plain)
        losses, residuals = both.fwd(logits, both.target(Mixed(labels, others, share), logits))
        expected, expected_residuals = plain.fwd(logits, soft)
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
        bar = jnp.asarray([1.0, 2.0, -1.0, 0.5, 3.0, 1.0])
        found, *_ = both.bwd(residuals, bar)
        np.testing.assert_allclose(found, plain.bwd(expected_residuals, bar)[0], rtol=1e-4, atol=1e-6)
