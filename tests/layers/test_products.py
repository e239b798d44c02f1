import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn.layers.products import FEW, LARGE, einsum, matmul, matmul_transposed

NARROW = (jnp.bfloat16, jnp.float16)


@pytest.mark.parametrize("dtype", NARROW)
def test_sixteen_bit_sums_run_in_float32(dtype):
    ones = jnp.ones((1, 5000), dtype)  # in bfloat16 a running sum of ones stays at 256, in float16 at 2048
    assert matmul(ones, ones.T).dtype == jnp.float32
    assert matmul(ones, ones.T) == einsum("ij,kj->ik", ones, ones) == 5000


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_wide_ones_in_their_own_dtype(dtype):
    with jax.enable_x64(dtype == jnp.float64):
        assert matmul(jnp.ones((2, 3), dtype), jnp.ones((3, 2), dtype)).dtype == dtype


@pytest.mark.parametrize("rows", [1, FEW, FEW + 1])
@pytest.mark.parametrize("dtype", [jnp.float32, *NARROW])
def test_a_large_matrix_transposed(rows, dtype):
    side = int(LARGE**0.5)
    a, b = (np.random.default_rng(0).integers(-3, 4, (n, side)) for n in (rows, side))
    got = jax.jit(matmul_transposed)(jnp.asarray(a, dtype), jnp.asarray(b, dtype))
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, a @ b.T)
    one_by_one = jax.vmap(matmul_transposed, (0, None))(jnp.asarray(a[:, None], dtype), jnp.asarray(b, dtype))
    np.testing.assert_array_equal(one_by_one[:, 0], a @ b.T)


def normal(*shape, dtype, seed=0):
    return jax.random.normal(jax.random.key(seed), shape, dtype)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("shared", [0, 1], ids=["x shared", "cotangent shared"])
def test_weight_cotangents_of_several_nets_on_one_batch(dtype, shared):
    """One of the two factors of w̄ is the same for all: XLA:CPU refuses to run such a product of 16-bit arrays."""
    x, y_bar = normal(4, 64, dtype=dtype), normal(4, 12, dtype=dtype, seed=1)
    images, cotangents = normal(4, 8, 8, 1, dtype=dtype), normal(4, 8, 8, 6, dtype=dtype, seed=1)
    w, kernel = jnp.zeros((64, 12), dtype), jnp.zeros((5, 5, 1, 6), dtype)

    def dense(x, y_bar):
        return purecnn.dense_bwd((x, w, None), y_bar)[1]

    def conv(x, y_bar):
        return purecnn.conv2d_bwd((x, kernel, None), y_bar, padding="SAME")[1]

    for rule, arrays in ((dense, (x, y_bar)), (conv, (images, cotangents))):
        several = [jnp.stack([a, 2 * a, -a]) for a in arrays]
        several[shared] = arrays[shared]
        axes = [None if n == shared else 0 for n in range(2)]
        got = jax.jit(jax.vmap(rule, axes))(*several)
        alone = np.asarray(rule(*arrays), np.float32)
        np.testing.assert_array_equal(np.asarray(got, np.float32), np.stack([alone, 2 * alone, -alone]))
