"""The estimate of the noise scale, and the gradients it is made of."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.per_sample_gradients import noise, run

pytestmark = pytest.mark.usefixtures("little_compilation")


@pytest.fixture(autouse=True)
def as_users_write_it():
    """The plain net of the comparison adds biases without reshaping them."""
    with jax.numpy_rank_promotion("allow"):
        yield


def test_the_estimate_has_no_bias():
    """8 gradients from a known distribution, drawn 4,000 times: |ḡ|² alone would be tr(Σ) / 8 too large."""
    mean, deviation = jnp.array([1.0, -2.0, 0.5]), jnp.array([3.0, 1.0, 2.0])
    draws = mean[None, None] + deviation[None, None] * jax.random.normal(jax.random.key(0), (4000, 8, 3))
    trace, signal = jax.vmap(lambda g: noise.noise_and_signal([g]))(draws)
    for estimates, truth in ((trace, 14.0), (signal, 5.25)):
        error = float(estimates.std()) / len(estimates) ** 0.5
        assert abs(float(estimates.mean()) - truth) < 4 * error < 0.4


@pytest.mark.slow
def test_quick(tmp_path):
    """Equal gradients are asserted inside, before anything is timed."""
    run.main(["--quick", "--out", str(tmp_path)])
    assert json.loads((tmp_path / "cost.json").read_text())["8×8, 16 samples"]["purecnn"]["apart"] < 1e-5
    found = json.loads((tmp_path / "noise.json").read_text())
    assert np.shape(found["noise_scale"]) == (2, 2)
    for moment in ("before", "after"):
        check = found["from_batches"][moment]
        assert abs(check["ratio"] - 1) < 4 * check["standard_error"] < 0.4
