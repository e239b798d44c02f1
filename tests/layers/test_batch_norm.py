import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles import plain
from tests.oracles.agreement import assert_rejected, assert_trees_close
from verify.running import quickly


def test_the_rule_is_right():
    check_vjp(purecnn.batch_norm)


NORM = named("batch_norm")


def test_output_has_the_scale_and_bias_as_its_statistics():
    x = jnp.asarray(np.random.default_rng(0).normal(3, 5, size=(8, 4, 4, 2)), "float32")
    y, mean, variance = quickly(purecnn.batch_norm)(x, jnp.array([2.0, 0.5]), jnp.array([1.0, -1.0]))
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), [1, -1], atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), [2, 0.5], rtol=1e-5)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(variance, np.asarray(x).var(axis=(0, 1, 2)), rtol=1e-5)  # biased


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_statistics_are_those_of_float32(dtype):
    """Ones, more of them than the dtype can count, and one channel with 256 + 1 in its sums."""
    x = jnp.ones((4096, 1), dtype)
    _, mean, variance = quickly(purecnn.batch_norm)(x, jnp.ones(1, dtype), jnp.zeros(1, dtype))
    assert (mean.dtype, variance.dtype) == (jnp.float32, jnp.float32)
    assert (mean.tolist(), variance.tolist()) == ([1], [0])

    def bias_bar(x):
        return jax.grad(lambda b: purecnn.batch_norm(x, jnp.ones(1, dtype), b)[0].sum(dtype=jnp.float32))(
            jnp.zeros(1, dtype)
        )

    assert quickly(bias_bar)(x).tolist() == [4096]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_mean_far_above_the_deviation_leaves_the_variance_right(dtype):
    """One read of x gives both statistics; mean x² − (mean x)², without a shift, has no digit of this variance left."""
    deviation = {"float32": 0.1, "bfloat16": 16}[dtype]
    x = jnp.asarray(1000 + deviation * np.random.default_rng(0).standard_normal((64, 1)), dtype)
    wide = np.asarray(x, "float64")
    _, mean, variance = quickly(purecnn.batch_norm)(x, jnp.ones(1, dtype), jnp.zeros(1, dtype))
    np.testing.assert_allclose(mean, wide.mean(0), rtol=2e-7)
    np.testing.assert_allclose(variance, wide.var(0), rtol=1e-5)
    unshifted = (x.astype("float32") ** 2).mean(0) - x.astype("float32").mean(0) ** 2
    assert dtype == "bfloat16" or abs(unshifted / wide.var(0) - 1) > 0.1


@pytest.mark.parametrize("entries", [1, 8])
def test_a_constant_channel_has_no_variance_and_no_nan(entries):
    y, _, variance = quickly(purecnn.batch_norm)(jnp.full((entries, 1), 1 / 3), jnp.ones(1), jnp.ones(1))
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
    "faulty",
    [
        statistics_taken_as_constant,
        way_through_the_variance_forgotten,
        cotangents_of_the_statistics_dropped,
        sums_over_samples_only,
        faulty_rules.cotangent_ignored(NORM),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(NORM, faulty)


MEMBERS = functools.partial(jax.vmap, axis_name="data", in_axes=(0, None, None))


def of_members(bwd=purecnn.batch_norm_bwd):
    """y, statistics and cotangents of the members of a named `vmap`, by the pair, and by autodiff of the plain form."""
    rng = np.random.default_rng(0)
    args = [jnp.asarray(rng.normal(size=shape)) for shape in ((4, 2, 3, 5), (5,), (5,))]
    y_bars = [jnp.asarray(rng.normal(size=shape)) for shape in ((4, 2, 3, 5), (4, 5), (4, 5))]

    def by_hand(x, scale, bias, *y_bars):
        y, residuals = purecnn.batch_norm_fwd(x, scale, bias, axis_name="data")
        return y, bwd(residuals, y_bars, axis_name="data")

    def by_autodiff(x, scale, bias, *y_bars):
        y, vjp = jax.vjp(functools.partial(plain.batch_norm, axis_name="data"), x, scale, bias)
        return y, vjp(y_bars)

    axes = (0, None, None, 0, 0, 0)
    return [jax.vmap(one, axis_name="data", in_axes=axes)(*args, *y_bars) for one in (by_hand, by_autodiff)]


@pytest.mark.usefixtures("x64")
def test_cotangents_of_every_member_are_those_of_autodiff():
    assert_trees_close(*of_members(), 1e-12)


@pytest.mark.parametrize("means", [(1000, 2000, 3000, 4000), (5000, 5000, 5000, 5000)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_means_far_above_the_deviation_on_devices_that_shift_by_numbers_of_their_own(dtype, means):
    x = np.random.default_rng(0).normal(size=(4, 64, 1)) + np.reshape(means, (4, 1, 1))
    x = jnp.asarray(x, dtype)
    norm = functools.partial(purecnn.batch_norm, axis_name="data")
    _, mean, variance = MEMBERS(norm)(x, jnp.ones(1, dtype), jnp.zeros(1, dtype))
    wide = np.asarray(x, "float64")
    np.testing.assert_allclose(mean, np.full((4, 1), wide.mean()), rtol=1e-6)
    np.testing.assert_allclose(variance, np.full((4, 1), wide.var()), rtol=1e-5)


def test_several_axes_and_their_sizes_may_change_from_call_to_call():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 4, 5)), "float32")
    norm = functools.partial(purecnn.batch_norm, scale=jnp.ones(5), bias=jnp.zeros(5), axis_name=("a", "b"))

    def over_both(x):
        return jax.vmap(jax.vmap(norm, axis_name="b"), axis_name="a")(x)[0]

    for part in (x, x[:, :2], x[:1]):
        expected = purecnn.batch_norm(part.reshape(-1, 5), jnp.ones(5), jnp.zeros(5))[0].reshape(part.shape)
        np.testing.assert_allclose(over_both(part), expected, atol=1e-5)


@pytest.mark.usefixtures("users_errors")
def test_an_axis_that_is_not_mapped_over():
    message = "batch_norm: axis_name: got 'data', expected an axis that pmap, shard_map or vmap maps over here"
    with pytest.raises(ValueError, match=message):
        purecnn.batch_norm(jnp.ones((4, 2)), jnp.ones(2), jnp.zeros(2), axis_name="data")


def sums_of_its_own_entries(residuals, y_bars, *, epsilon=1e-5, axis_name):
    """As if a device's μ and v were moved by its own entries alone."""
    return purecnn.batch_norm_bwd(residuals, y_bars, epsilon=epsilon)


def scale_bar_of_all_devices(residuals, y_bars, *, epsilon=1e-5, axis_name):
    """Every device returns the sum over all, which are added up once more."""
    x_bar, *bars = purecnn.batch_norm_bwd(residuals, y_bars, epsilon=epsilon, axis_name=axis_name)
    return x_bar, *lax.psum(bars, axis_name)


def cotangents_of_its_own_statistics(residuals, y_bars, *, epsilon=1e-5, axis_name):
    """The other devices' copies of the statistics are left out."""
    y_bar, *of_statistics = y_bars
    own = [bar / lax.axis_size(axis_name) for bar in of_statistics]
    still = [jnp.zeros_like(bar) for bar in own]
    x_bar, *bars = purecnn.batch_norm_bwd(residuals, (y_bar, *still), epsilon=epsilon, axis_name=axis_name)
    return x_bar + purecnn.batch_norm_bwd(residuals, (0 * y_bar, *own), epsilon=epsilon)[0], *bars


def mean_of_the_devices_for_the_sum(residuals, y_bars, *, epsilon=1e-5, axis_name):
    x, scale, mean, r = residuals
    y_bar = lax.pmean(y_bars[0], axis_name)
    return purecnn.batch_norm_bwd((x, scale, mean, r), (y_bar, *y_bars[1:]), epsilon=epsilon, axis_name=axis_name)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "faulty",
    [
        sums_of_its_own_entries,
        scale_bar_of_all_devices,
        cotangents_of_its_own_statistics,
        mean_of_the_devices_for_the_sum,
    ],
)
def test_faulty_rules_over_devices_are_rejected(faulty):
    with pytest.raises(AssertionError):
        assert_trees_close(*of_members(faulty), 1e-12)
