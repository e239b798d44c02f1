"""Each way's gradient is as far from float64's as its precision says; in float32 throughout it is purecnn's own."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from experiments import training
from experiments.backward_precision import run

pytestmark = pytest.mark.usefixtures("little_compilation")


@pytest.fixture(autouse=True)
def as_users_run_it():
    """optax's schedules add integers to floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.slow
def test_float32_throughout_is_backprop():
    net = purecnn.models.lenet()
    params = net.init(jax.random.key(0), training.SHAPE)
    x, labels = jax.random.normal(jax.random.key(1), (4, *training.SHAPE)), jnp.arange(4, dtype=jnp.int32)
    expected = purecnn.backprop(net, params, x, labels)
    for a, b in zip(
        jax.tree.leaves(run.gradient_of(run.F32, run.F32)(params, x, labels)), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_quick(tmp_path):
    run.main(["--quick", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "error.json").read_text())["rows"]
    off = {name: row["at the start"]["mean"] for name, row in rows.items()}
    assert off["float32, float32"] < 1e-5
    # Rounding a number to bfloat16 moves it by at most 2⁻⁹ of the power of two below it; sums of rounded products more.
    assert 2**-11 < off["float32, bfloat16"] < 2**-8
    assert off["bfloat16, float32"] > 2 * off["float32, bfloat16"]
    assert off["bfloat16, bfloat16"] > 2 * off["float32, bfloat16"]
