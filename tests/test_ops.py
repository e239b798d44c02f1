import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn.ops import (
    FEW_ROWS,
    LARGE_MATRIX,
    accumulation_dtype,
    called,
    matmul_transposed,
    mean_of_channels,
    rounded,
    sum_to_channels,
    sums_to_channels,
)
from tests import lowered
from tests.sampling import one_in

NARROW = (jnp.bfloat16, jnp.float16)


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [("float16", "float32"), ("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")],
)
def test_sixteen_bit_sums_are_float32_sums(dtype, wide, x64):
    assert accumulation_dtype(jnp.dtype(dtype)) == wide


@pytest.mark.parametrize("narrow", NARROW)
def test_a_rounding_stays_on_a_gpu(narrow):
    """XLA drops a pair of conversions, but not around a choice; what is chosen is the number itself."""
    x = jnp.array([1.001, -0.0, 1e30, -1e30, np.inf, np.nan, 1e-30], jnp.float32)
    for platform, choices in {"cpu": 0, "cuda": 1}.items():
        text = lowered.text(lambda x: rounded(x, narrow), platform, x)
        assert (text.count("stablehlo.select"), text.count("stablehlo.convert")) == (choices, 1)
    expected = x.astype(narrow)
    chosen = jnp.where(expected == expected, expected, jnp.full((), jnp.nan, narrow))
    for got in (rounded(x, narrow), chosen):
        np.testing.assert_array_equal(got.astype(jnp.float32), expected.astype(jnp.float32))
    assert "select" not in lowered.text(lambda x: rounded(x, x.dtype), "cuda", x)


@pytest.mark.parametrize("rows", [1, FEW_ROWS, FEW_ROWS + 1])
@pytest.mark.parametrize("dtype", [jnp.float32, *NARROW])
def test_a_large_matrix_transposed(rows, dtype):
    side = int(LARGE_MATRIX**0.5)
    a, b = (np.random.default_rng(0).integers(-3, 4, (n, side)) for n in (rows, side))
    got = jax.jit(matmul_transposed)(jnp.asarray(a, dtype), jnp.asarray(b, dtype))
    assert got.dtype == dtype
    rounded = jnp.asarray(a @ b.T, dtype)  # once, at the end
    np.testing.assert_array_equal(got, rounded)
    one_by_one = jax.vmap(matmul_transposed, (0, None))(jnp.asarray(a[:, None], dtype), jnp.asarray(b, dtype))
    np.testing.assert_array_equal(one_by_one[:, 0], rounded)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("shape", [(6000, 2), (3, 40, 50, 2), (3, 2000, 2), (2, 100, 90, 2)])
def test_sums_to_channels_run_in_float32(dtype, shape):
    total = sum_to_channels(jnp.ones(shape, dtype))
    assert total.dtype == jnp.float32
    assert total.tolist() == [6000 if len(shape) != 4 or shape[1] == 40 else 18000] * 2


@pytest.mark.parametrize("height", [1, 3, 4, 5, 9])
@pytest.mark.parametrize("width", [3, 70])
def test_sums_to_channels_step_by_step_in_a_debugger(height, width):
    with jax.disable_jit():
        assert sum_to_channels(jnp.ones((2, height, width, 2))).tolist() == [2 * width * height] * 2


def test_a_call_that_xla_does_not_inline_has_derivatives_and_may_be_mapped():
    def scanned(x, y):
        return jax.lax.scan(lambda total, row: (total + jnp.sin(row) * y, None), y, x)[0]

    x, y = jnp.arange(12.0).reshape(4, 3), jnp.array([0.5, 1.0, -2.0])
    text = jax.jit(called(scanned, "scanned")).lower(x, y).as_text()
    assert text.count('inlineable = "false"') == 1  # not the calls that a loop is made of
    assert " call(" in jax.jit(called(scanned, "scanned")).lower(x, y).compile().as_text()

    def losses(function):
        return lambda x, y: (function(x, y) ** 2).sum()

    for transform in (jax.grad, jax.hessian, lambda f: jax.vmap(f, (1, 0))):
        expected, got = (jax.jit(transform(losses(f)))(x, y) for f in (scanned, called(scanned, "scanned")))
        np.testing.assert_allclose(got, expected, rtol=1e-5)


SUMMED = [(5, 3), (2, 7, 3), (0, 4, 4, 3), (2, 4, 0, 3), (4, 5, 6, 3), (3, 100, 80, 3), (2, 6, 2, 2, 3)]
SMALL_IMAGES = [(2, 3, 3, 3), (2, 5, 5, 3), (2, 8, 8, 3), (2, 9, 9, 3), (2, 7, 30, 3)]


@pytest.mark.parametrize("shape", SUMMED + SMALL_IMAGES)
def test_several_sums_of_several_arrays(shape):
    """Exactly, on integers; and with derivatives, which second derivatives of rules ask for."""
    a, b = (jnp.asarray(np.random.default_rng(i).integers(-3, 4, shape), "float32") for i in (0, 1))
    axes = tuple(range(len(shape) - 1))
    first, second = jax.jit(lambda a, b: sums_to_channels(lambda a, b: (a, a * b), a, b))(a, b)
    np.testing.assert_array_equal(first, np.asarray(a).sum(axes))
    np.testing.assert_array_equal(second, (np.asarray(a) * np.asarray(b)).sum(axes))
    slope = jax.jit(jax.grad(lambda a: sums_to_channels(lambda a, b: (a * b,), a, b)[0].sum()))(a)
    np.testing.assert_array_equal(slope, b)


@pytest.mark.parametrize("side", [3, 7, 9])
@pytest.mark.parametrize("smaller", [(4, 1, 1, 3), (4, "h", "w", 1), (1, 1, "w", 1), (1, "h", 1, 3)])
def test_sums_of_arrays_that_broadcast(side, smaller):
    rng = np.random.default_rng(0)
    a = rng.integers(-3, 4, (4, side, side, 3)).astype("float32")
    b = rng.integers(-3, 4, [side if isinstance(size, str) else size for size in smaller]).astype("float32")
    (total,) = jax.jit(lambda a, b: sums_to_channels(lambda a, b: (a * b,), a, b))(a, b)
    np.testing.assert_array_equal(total, (a * b).sum((0, 1, 2)))
    (one_by_one,) = jax.jit(lambda a, b: sums_to_channels(lambda a, b: (a * b,), a, b, per_sample=True))(a, b)
    np.testing.assert_array_equal(one_by_one, (a * b).sum((1, 2)))


def normal(*shape, dtype, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


@pytest.mark.parametrize("dtype", one_in(2, NARROW))
@pytest.mark.parametrize("shared", [0, 1], ids=["x shared", "cotangent shared"])
def test_weight_cotangents_of_several_nets_on_one_batch(dtype, shared):
    """One of the two factors of w̄ is the same for all. XLA:CPU refuses such products of 16 bits with 32-bit results,
    and from JAX 0.11 on sums those with 16-bit results in bfloat16."""
    x, y_bar = normal(32, 64, dtype=dtype), normal(32, 12, dtype=dtype, seed=1)
    images, cotangents = normal(4, 8, 8, 1, dtype=dtype), normal(4, 8, 8, 6, dtype=dtype, seed=1)
    w, kernel = jnp.zeros((64, 12), dtype), jnp.zeros((5, 5, 1, 6), dtype)

    def dense(x, y_bar):
        return purecnn.dense_bwd((x, w, None), y_bar)[1]

    def conv(x, y_bar):
        return purecnn.conv2d_bwd((x, kernel, None), y_bar, padding="SAME")[1]

    def dense_in_float64(x, y_bar):
        return x.T @ y_bar

    def conv_in_float64(x, y_bar):
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x[..., 0], ((0, 0), (2, 2), (2, 2))), (5, 5), (1, 2))
        return np.einsum("nhwij,nhwd->ijd", windows, y_bar)[:, :, None]

    for rule, in_float64, arrays in (
        (dense, dense_in_float64, (x, y_bar)),
        (conv, conv_in_float64, (images, cotangents)),
    ):
        several = [jnp.stack([a, 2 * a, -a]) for a in arrays]
        several[shared] = arrays[shared]
        axes = [None if n == shared else 0 for n in range(2)]
        got = np.asarray(jax.jit(jax.vmap(rule, axes))(*several), np.float64)
        one, terms = (in_float64(*(f(np.asarray(a, np.float64)) for a in arrays)) for f in (lambda a: a, np.abs))
        # One rounding of the result, and float32's of its at most 256 terms.
        room = jnp.finfo(dtype).eps / 2 * abs(one) + 256 * np.finfo(np.float32).eps / 2 * terms
        for factor, w_bar in zip((1, 2, -1), got, strict=True):
            assert (np.abs(w_bar - factor * one) <= abs(factor) * room).all()


def test_a_mean_of_channels_may_weigh_them():
    x, weights = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 5)), "float32"), jnp.arange(5.0)
    got = jax.jit(mean_of_channels)(x, weights)
    np.testing.assert_allclose(got, (x * weights[None, None]).mean(-1, keepdims=True), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.jit(mean_of_channels)(x), x.mean(-1, keepdims=True), rtol=1e-6, atol=1e-6)
