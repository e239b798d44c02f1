"""The net with conventions as arrays is the net with those options, and the counts are what they are called."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from experiments import training
from experiments.kink_conventions import run
from purecnn import nn

pytestmark = pytest.mark.usefixtures("little_compilation")


@pytest.fixture(autouse=True)
def as_users_run_it():
    """optax's schedules add integers to floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_conventions_as_arrays_are_the_options():
    """On black images every entry in front of the first ReLU is zero and every window ties."""
    options = {"relu": lambda: nn.relu(slope_at_zero=0.5), "max_pool2d": lambda: nn.max_pool2d(ties="all")}
    net = purecnn.models.lenet()
    expected = purecnn.Chain("lenet", tuple(options.get(one.name, lambda one=one: one)() for one in net.layers))
    params = net.init(jax.random.key(0), training.SHAPE)
    x, labels = jnp.zeros((4, *training.SHAPE)), jnp.arange(4, dtype=jnp.int32)

    @jax.jit
    def gradients(slope, ties):
        every = [purecnn.backprop(each, params, x, labels)[1] for each in (run.lenet(slope, ties), expected)]
        return [jnp.concatenate([g.ravel() for g in jax.tree.leaves(grads)]) for grads in every]

    ours, theirs = gradients(jnp.float32(0.5), jnp.int32(run.TIES.index("all")))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)  # a compiler may order the two sums otherwise
    other, _ = gradients(jnp.float32(0.5), jnp.int32(run.TIES.index("first")))
    assert np.abs(other - theirs).max() > 1e-3


@pytest.mark.slow
def test_quick(tmp_path):
    run.main(["--quick", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "float32.json").read_text())
    counts = found["percent_of_entries_or_windows"]
    # Black borders under biases of zero, which the first step moves.
    assert counts["first step"]["zeros"][0] > 0 == counts["second step"]["zeros"][0]
    later = counts["all later steps"]
    assert 0 < later["ties_above_zero"][0] < later["ties"][0] / 50
    rows = found["rows"]
    assert rows["one bit of one weight"]["weights_differ_after_step"] == [0, 0]
    assert max(rows["ties all"]["weights_differ_after_step"]) <= 3
    # Of first and last only the order of a sum differs: the ties above zero are of black patches.
    assert rows["ties last"]["weights_apart"]["mean"] < 1e-4 < rows["ties all"]["weights_apart"]["mean"]
