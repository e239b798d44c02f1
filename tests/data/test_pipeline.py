import multiprocessing
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purecnn.data import pipeline
from purecnn.data.batches import training_batches
from purecnn.data.dataset import Split, to_float
from purecnn.data.pipeline import AHEAD, ahead, feed, fits_on_device
from purecnn.train.step import Measured, TrainState, steps_in_one_dispatch

RNG = np.random.default_rng(0)
SPLIT = Split(RNG.integers(0, 256, (23, 3, 3, 1), dtype=np.uint8), np.arange(23, dtype=np.int32))
PARTS = np.split(training_batches(23, 2, seed=1, epoch=0), [5, 10])


def test_the_blocks_hold_the_same_images_in_the_same_order_as_the_whole_set():
    blocks = list(feed(SPLIT, PARTS))
    assert len(blocks) == len(PARTS)
    for (images, labels, indices), part in zip(blocks, PARTS, strict=True):
        assert isinstance(images, jax.Array)
        assert images.dtype == np.uint8
        assert indices is None
        np.testing.assert_array_equal(images, SPLIT.images[part])
        np.testing.assert_array_equal(labels, SPLIT.labels[part])


def test_a_scan_over_steps_ends_in_the_same_bits_as_with_the_whole_set_on_the_device():
    def step(now, x, labels):
        total = 0.7 * now.params[0]["w"] + to_float(x).mean() * labels.sum().astype(np.float32)
        return now._replace(params=[{"w": total}]), Measured(total, labels.sum(), total[None])

    def start():
        return TrainState([{"w": jnp.zeros(())}], [{}], None, jax.random.key(0), jnp.zeros((), jnp.int32))

    run = steps_in_one_dispatch(step)
    whole, fed = start(), start()
    for part, (images, labels, nothing) in zip(PARTS, feed(SPLIT, PARTS), strict=True):
        whole, _ = run(whole, jnp.asarray(SPLIT.images), jnp.asarray(SPLIT.labels), jnp.asarray(part))
        fed, _ = run(fed, images, labels, nothing)
    assert float(whole.params[0]["w"]) == float(fed.params[0]["w"]) != 0


def test_it_is_ahead_by_so_many_parts_in_another_thread():
    placed, threads = [], set()

    def place(array, rows):
        placed.append(len(rows))
        threads.add(threading.current_thread())
        return array[rows]

    blocks = feed(SPLIT, [PARTS[0]] * 10, place=place)
    for used in range(1, 11):
        next(blocks)
        assert 2 * used <= len(placed) <= 2 * (used + AHEAD)  # two arrays a part
    assert len(placed) == 20
    assert threading.current_thread() not in threads


def test_a_failure_in_the_thread_arrives_and_leaving_early_leaves_no_thread():
    def place(array, rows):
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        next(feed(SPLIT, PARTS, place=place))
    blocks = feed(SPLIT, PARTS * 5)
    next(blocks)
    blocks.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feed")]


def test_the_epoch_of_each_part_is_that_of_its_steps():
    """An epoch of 23 images is twelve steps of 2; the first part begins at step 9."""

    class Images:
        def in_epoch(self, epoch):
            return epoch

    split = Split(Images(), SPLIT.labels)
    parts = [np.zeros((rows, 2), np.int32) for rows in (3, 2, 10, 1)]
    placed = feed(split, parts, first_step=9, place=lambda images, rows: images)  # by two threads, given in order
    assert [epoch for epoch, _, _ in placed] == [0, 1, 1, 2]


def test_a_block_of_steps_is_at_most_so_many_bytes_and_at_least_one_step(monkeypatch):
    monkeypatch.setattr(pipeline, "BLOCK", 100)
    assert [pipeline.steps_in_a_block(SPLIT, batch_size) for batch_size in (1, 3, 4, 100)] == [11, 3, 2, 1]


def test_small_sets_lie_on_the_device():
    assert fits_on_device(SPLIT)
    assert not fits_on_device(SPLIT, limit=SPLIT.images.nbytes - 1)
    cifar = 50_000 * 32 * 32 * 3
    assert cifar < pipeline.DEVICE_LIMIT < 100 * cifar


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_process_that_is_forked_in_a_loading_thread_ends_well():
    """As the workers of a DataLoader that is iterated there: PyTorch ends the run where one fails."""

    def load(_):
        process = multiprocessing.get_context("fork").Process(target=abs, args=(1,))
        process.start()
        process.join()
        return process.exitcode

    assert list(ahead(load, range(2))) == [0, 0]
