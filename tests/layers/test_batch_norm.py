import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import wrong_rules
from tests.catalogue import check_vjp, named
from tests.oracles.roads import assert_rejected, quick_jit


def test_the_rule_is_right():
    check_vjp(purecnn.batch_norm)


NORM = named("batch_norm")


def test_output_has_the_scale_and_bias_as_its_statistics():
    x = jnp.asarray(np.random.default_rng(0).normal(3, 5, size=(8, 4, 4, 2)), "float32")
    y, mean, variance = quick_jit(purecnn.batch_norm)(x, jnp.array([2.0, 0.5]), jnp.array([1.0, -1.0]))
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), [1, -1], atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), [2, 0.5], rtol=1e-5)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, np.asarray(x).var(axis=(0, 1, 2)), rtol=1e-5)  # biased


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_statistics_are_those_of_float32(dtype):
    """Ones, more of them than the dtype can count, and one channel with 256 + 1 in its sums."""
    x = jnp.ones((4096, 1), dtype)
    _, mean, variance = quick_jit(purecnn.batch_norm)(x, jnp.ones(1, dtype), jnp.zeros(1, dtype))
    assert (mean.dtype, variance.dtype) == (jnp.float32, jnp.float32)
    assert (mean.tolist(), variance.tolist()) == ([1], [0])

    def bias_bar(x):
        return jax.grad(lambda b: purecnn.batch_norm(x, jnp.ones(1, dtype), b)[0].sum(dtype=jnp.float32))(
            jnp.zeros(1, dtype)
        )

    assert quick_jit(bias_bar)(x).tolist() == [4096]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_mean_far_above_the_deviation_leaves_the_variance_right(dtype):
    """One read of x gives both statistics; mean x² − (mean x)², without a shift, has no digit of this variance left."""
    deviation = {"float32": 0.1, "bfloat16": 16}[dtype]
    x = jnp.asarray(1000 + deviation * np.random.default_rng(0).standard_normal((64, 1)), dtype)
    wide = np.asarray(x, "float64")
    _, mean, variance = quick_jit(purecnn.batch_norm)(x, jnp.ones(1, dtype), jnp.zeros(1, dtype))
    np.testing.assert_allclose(mean, wide.mean(0), rtol=2e-7)
    np.testing.assert_allclose(variance, wide.var(0), rtol=1e-5)
    unshifted = (x.astype("float32") ** 2).mean(0) - x.astype("float32").mean(0) ** 2
    assert dtype == "bfloat16" or abs(unshifted / wide.var(0) - 1) > 0.1


def test_a_constant_channel_has_no_variance_and_no_nan():
    y, _, variance = quick_jit(purecnn.batch_norm)(jnp.full((8, 1), 1 / 3), jnp.ones(1), jnp.ones(1))
    assert variance.tolist() == [0]
    assert (y == 1).all()


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (3, 64, 64, 4), (5, 7)], ids=["rows", "images", "a matrix"])
def test_every_way_to_sum_gives_the_same_statistics(shape):
    x = jnp.asarray(np.random.default_rng(0).integers(-3, 4, shape), "float32")
    _, mean, variance = jax.jit(purecnn.batch_norm)(x, jnp.ones(shape[-1]), jnp.zeros(shape[-1]))
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(mean, np.asarray(x, "float64").mean(axes), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(variance, np.asarray(x, "float64").var(axes), rtol=1e-5)


def test_what_is_kept():
    x, scale, bias = NORM.arguments("float32")
    _, residuals = purecnn.batch_norm_fwd(x, scale, bias)
    assert (residuals[0] is x, residuals[1] is scale) == (True, True)
    assert [r.shape for r in residuals[2:]] == [(3,), (3,)]


@pytest.mark.parametrize("shape", [(5, 2), (5, 3, 2), (2, 2, 2, 2)])
def test_every_axis_but_the_last_is_the_batch(shape):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), "float32")
    _, mean, _ = purecnn.batch_norm(x, jnp.ones(2), jnp.zeros(2))
    np.testing.assert_allclose(mean, x.reshape(-1, 2).mean(axis=0), rtol=1e-5, atol=1e-6)


def statistics_taken_as_constant(residuals, y_bars, *, epsilon=1e-5):
    """x̄ = r γ ȳ: inference's rule, in training."""
    _, scale, _, r = residuals
    _, scale_bar, bias_bar = purecnn.batch_norm_bwd(residuals, y_bars, epsilon=epsilon)
    return y_bars[0] * (r * scale).reshape(1, 1, 1, -1), scale_bar, bias_bar


def way_through_the_variance_forgotten(residuals, y_bars, *, epsilon=1e-5):
    _, scale, _, r = residuals
    _, scale_bar, bias_bar = purecnn.batch_norm_bwd(residuals, y_bars, epsilon=epsilon)
    centred = y_bars[0] - y_bars[0].mean(axis=(0, 1, 2), keepdims=True)
    return centred * (r * scale).reshape(1, 1, 1, -1), scale_bar, bias_bar


def cotangents_of_the_statistics_dropped(residuals, y_bars, *, epsilon=1e-5):
    still = jnp.zeros_like(y_bars[1])
    return purecnn.batch_norm_bwd(residuals, (y_bars[0], still, still), epsilon=epsilon)


def sums_over_samples_only(residuals, y_bars, *, epsilon=1e-5):
    x_bar, scale_bar, _ = purecnn.batch_norm_bwd(residuals, y_bars, epsilon=epsilon)
    return x_bar, scale_bar, y_bars[0][:, 0, 0].sum(axis=0)


@pytest.mark.parametrize(
    "wrong",
    [
        statistics_taken_as_constant,
        way_through_the_variance_forgotten,
        cotangents_of_the_statistics_dropped,
        sums_over_samples_only,
        wrong_rules.cotangent_ignored(NORM),
    ],
    ids=lambda wrong: wrong.__name__,
)
def test_wrong_rules_are_rejected(wrong):
    assert_rejected(NORM, wrong)
