import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected
from verify.running import quickly


def test_the_rule_is_right():
    check_vjp(purecnn.layer_norm)


NORM = named("layer_norm")


def ones_and_zeros(x):
    return jnp.ones(x.shape[-1], x.dtype), jnp.zeros(x.shape[-1], x.dtype)


@pytest.mark.parametrize("shape", [(64,), (5, 64), (5, 3, 64), (2, 2, 2, 64)])
def test_every_row_has_mean_zero_and_deviation_one(shape):
    x = jnp.asarray(np.random.default_rng(0).normal(3, 5, size=shape), "float32")
    y = quickly(purecnn.layer_norm)(x, *ones_and_zeros(x))
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_statistics_are_those_of_float32(dtype):
    """More channels than the dtype can count."""
    x = jnp.ones((1, 4096), dtype).at[0, :2048].set(3)
    y, residuals = quickly(purecnn.layer_norm_fwd)(x, *ones_and_zeros(x))
    assert [r.dtype for r in residuals[2:]] == [jnp.float32, jnp.float32]
    assert residuals[2].tolist() == [[2]]
    assert set(np.unique(y.astype("float32"))) == {-1, 1}


def test_a_mean_far_above_the_deviation_leaves_the_variance_right():
    x = jnp.asarray(1000 + 0.1 * np.random.default_rng(0).standard_normal((3, 64)), "float32")
    wide = np.asarray(x, "float64")
    _, (_, _, mean, r) = quickly(purecnn.layer_norm_fwd)(x, *ones_and_zeros(x))
    np.testing.assert_allclose(mean[:, 0], wide.mean(1), rtol=2e-7)
    np.testing.assert_allclose(r[:, 0], (wide.var(1) + 1e-5) ** -0.5, rtol=1e-5)


def test_a_constant_row_gives_its_bias_and_no_nan():
    x = jnp.full((2, 8), 1 / 3)
    np.testing.assert_allclose(purecnn.layer_norm(x, jnp.ones(8), jnp.ones(8)), 1, atol=1e-4)


def test_what_is_kept():
    x, scale, bias = NORM.arguments("float32")
    _, residuals = purecnn.layer_norm_fwd(x, scale, bias)
    assert (residuals[0] is x, residuals[1] is scale) == (True, True)
    assert [r.shape for r in residuals[2:]] == [(3, 2, 2, 1)] * 2


def statistics_taken_as_constant(residuals, y_bar, *, epsilon=1e-5):
    _, scale, _, r = residuals
    return y_bar * r * scale.reshape(1, 1, 1, -1), *purecnn.layer_norm_bwd(residuals, y_bar, epsilon=epsilon)[1:]


def scale_outside_of_the_means(residuals, y_bar, *, epsilon=1e-5):
    """Batch normalisation's rule: x̄ = r γ (ȳ − mean ȳ − x̂ mean ȳx̂)."""
    x, scale, mean, r = residuals
    kept = (x, jnp.ones_like(scale), mean, r)
    x_bar = purecnn.layer_norm_bwd(kept, y_bar, epsilon=epsilon)[0] * scale.reshape(1, 1, 1, -1)
    return x_bar, *purecnn.layer_norm_bwd(residuals, y_bar, epsilon=epsilon)[1:]


def scale_of_the_input_itself(residuals, y_bar, *, epsilon=1e-5):
    """γ̄ = Σ ȳ x, not Σ ȳ x̂."""
    x_bar, _, bias_bar = purecnn.layer_norm_bwd(residuals, y_bar, epsilon=epsilon)
    return x_bar, (y_bar * residuals[0]).sum(axis=(0, 1, 2)), bias_bar


def sums_over_samples_only(residuals, y_bar, *, epsilon=1e-5):
    x_bar, scale_bar, _ = purecnn.layer_norm_bwd(residuals, y_bar, epsilon=epsilon)
    return x_bar, scale_bar, y_bar[:, 0, 0].sum(axis=0)


@pytest.mark.parametrize(
    "faulty",
    [
        statistics_taken_as_constant,
        scale_outside_of_the_means,
        scale_of_the_input_itself,
        sums_over_samples_only,
        faulty_rules.cotangent_ignored(NORM),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(NORM, faulty)
