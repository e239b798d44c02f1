import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected
from verify.running import quickly


def test_the_rule_is_right():
    check_vjp(purecnn.group_norm)


NORM = named("group_norm")


def drawn(*shape, mean=3.0, deviation=5.0):
    return jnp.asarray(np.random.default_rng(0).normal(mean, deviation, size=shape), "float32")


def normalised(x, groups):
    ones = jnp.ones(x.shape[-1], x.dtype)
    return quickly(lambda x: purecnn.group_norm(x, ones, 0 * ones, groups=groups))(x)


@pytest.mark.parametrize("shape", [(3, 64), (3, 5, 8), (3, 4, 5, 8), (2, 3, 2, 3, 8)])
@pytest.mark.parametrize("groups", [1, 4])
def test_every_group_of_every_sample_has_mean_zero_and_deviation_one(shape, groups):
    y = np.asarray(normalised(drawn(*shape), groups)).reshape(shape[0], -1, groups, shape[-1] // groups)
    np.testing.assert_allclose(y.mean(axis=(1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(1, 3)), 1, rtol=1e-4)


def test_one_group_of_a_matrix_is_layer_norm():
    x, scale, bias = drawn(3, 8), drawn(8), drawn(8)
    ours = quickly(lambda *args: purecnn.group_norm(*args, groups=1))(x, scale, bias)
    np.testing.assert_allclose(ours, quickly(purecnn.layer_norm)(x, scale, bias), rtol=1e-5, atol=1e-5)


def test_a_mean_far_above_the_deviation_leaves_the_variance_right():
    x = drawn(2, 16, 4, mean=1000, deviation=0.1)
    wide = np.asarray(x, "float64").reshape(2, 16, 2, 2)
    _, (_, _, mean, r) = quickly(lambda x: purecnn.group_norm_fwd(x, jnp.ones(4), jnp.zeros(4), groups=2))(x)
    np.testing.assert_allclose(mean, wide.mean((1, 3)), rtol=2e-7)
    np.testing.assert_allclose(r, (wide.var((1, 3)) + 1e-5) ** -0.5, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_statistics_are_those_of_float32(dtype):
    """More entries than the dtype can count; and so are the sums of the backward rule."""
    x = jnp.ones((1, 4096, 1), dtype).at[0, :2048].set(3)
    assert set(np.unique(normalised(x, 1).astype("float32"))) == {-1, 1}
    one = jnp.ones(1, dtype)
    x_bar, scale_bar, bias_bar = NORM.backward(x, one, one, y_bar=(x == 3).astype(dtype), groups=1)
    np.testing.assert_allclose(x_bar.astype("float32"), 0, atol=1e-5)
    assert scale_bar.tolist() == bias_bar.tolist() == [2048]


def test_what_is_kept():
    x, scale, bias = NORM.arguments("float32")
    _, residuals = purecnn.group_norm_fwd(x, scale, bias, groups=2)
    assert (residuals[0] is x, residuals[1] is scale) == (True, True)
    assert [r.shape for r in residuals[2:]] == [(4, 2)] * 2


def statistics_taken_as_constant(residuals, y_bar, *, groups, epsilon=1e-5):
    _, scale, _, r = residuals
    slope = jnp.repeat(r, 2, axis=1)[:, None, None] * scale.reshape(1, 1, 1, -1)
    return y_bar * slope, *purecnn.group_norm_bwd(residuals, y_bar, groups=groups)[1:]


def channels_dealt_out_in_turn(residuals, y_bar, *, groups, epsilon=1e-5):
    """Channel c in group c mod G."""
    x, scale, mean, r = residuals
    order, back = jnp.array([0, 2, 1, 3]), jnp.array([0, 2, 1, 3])
    bars = purecnn.group_norm_bwd((x[..., order], scale[order], mean, r), y_bar[..., order], groups=groups)
    return tuple(bar[..., back] for bar in bars)


def scale_outside_of_the_means(residuals, y_bar, *, groups, epsilon=1e-5):
    x, scale, mean, r = residuals
    x_bar = purecnn.group_norm_bwd((x, jnp.ones_like(scale), mean, r), y_bar, groups=groups)[0]
    return x_bar * scale.reshape(1, 1, 1, -1), *purecnn.group_norm_bwd(residuals, y_bar, groups=groups)[1:]


@pytest.mark.parametrize(
    "faulty",
    [
        statistics_taken_as_constant,
        channels_dealt_out_in_turn,
        scale_outside_of_the_means,
        faulty_rules.first_sample_only(NORM, 1),
        faulty_rules.cotangent_ignored(NORM),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(NORM, faulty)
