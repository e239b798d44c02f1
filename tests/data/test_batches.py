import numpy as np
import pytest

from purecnn.data.batches import evaluation_batches, training_batches


@pytest.mark.parametrize(("samples", "size"), [(12, 4), (13, 4), (4, 4), (5, 1), (7, 6)])
def test_every_sample_is_seen_and_only_the_last_batch_repeats_some(samples, size):
    batches = training_batches(samples, size, seed=3, epoch=0)
    assert batches.dtype == np.int32
    assert batches.shape == (-(-samples // size), size)
    flat = batches.ravel()
    assert sorted(flat[:samples]) == list(range(samples))
    np.testing.assert_array_equal(flat[samples:], flat[: len(flat) - samples])


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else():
    order = training_batches(100, 10, seed=1, epoch=2)
    np.testing.assert_array_equal(order, training_batches(100, 10, seed=1, epoch=2))
    np.testing.assert_array_equal(order.ravel(), training_batches(100, 25, seed=1, epoch=2).ravel())
    for seed, epoch in ((1, 3), (2, 2), (2, 1)):
        assert (order != training_batches(100, 10, seed=seed, epoch=epoch)).any()
    assert (order.ravel() != np.arange(100)).any()


@pytest.mark.parametrize(("samples", "size"), [(12, 4), (13, 4), (3, 8)])
def test_evaluation_drops_nothing_and_counts_nothing_twice(samples, size):
    batches, is_real = evaluation_batches(samples, size)
    assert batches.shape == is_real.shape == (-(-samples // size), size)
    np.testing.assert_array_equal(batches[is_real], np.arange(samples))
    assert batches.max() == samples - 1
