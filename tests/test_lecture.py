"""The lecture's own numbers and lists (rows 8, 10 and 12 to 16), term by term as its slides write them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests.oracles.agreement import assert_trees_close
from verify.running import quickly

A = jnp.array([[3.0, 2, 3, 1], [0, 5, 3, 4], [1, 2, 2, 2], [7, 3, 1, 7]])


def image(a):
    """One image of one channel."""
    return jnp.asarray(a, jnp.float32).reshape(1, *a.shape, 1)


def test_row_8_relu():
    x = jnp.array([-2.0, 0, 3])
    y, residuals = purecnn.relu_fwd(x)
    assert y.tolist() == [0, 0, 3]
    assert purecnn.relu_bwd(residuals, jnp.array([5.0, 6, 7]))[0].tolist() == [0, 0, 7]


def test_row_10_max_pool_forward_and_backward():
    y, residuals = purecnn.max_pool2d_fwd(image(A), window=2, stride=2)
    assert y[0, :, :, 0].tolist() == [[5, 4], [7, 7]]
    dLdy = image(np.array([[11.0, 12], [21, 22]]))  # L₁₁ L₁₂ / L₂₁ L₂₂
    (dLdx,) = purecnn.max_pool2d_bwd(residuals, dLdy, window=2, stride=2)
    assert dLdx[0, :, :, 0].tolist() == [[0, 0, 0, 0], [0, 11, 0, 12], [0, 0, 0, 0], [21, 0, 0, 22]]


def as_in_matlab(cols, window):
    """(1, Ho, Wo, kh·kw) as the slide's matrix: a position a column, column-major in the window and across them."""
    _, height, width, _ = cols.shape
    return np.asarray(cols).reshape(height, width, *window).transpose(3, 2, 1, 0).reshape(-1, width * height)


def test_row_14_im2col_sliding():
    matrix = as_in_matlab(purecnn.im2col(image(A), (2, 2)), (2, 2))
    assert matrix.shape == (4, 9)
    assert matrix[:, :4].T.tolist() == [[3, 0, 2, 5], [0, 1, 5, 2], [1, 7, 2, 3], [2, 5, 3, 3]]
    assert matrix[:, 4:].T.tolist() == [[5, 2, 3, 2], [2, 3, 2, 1], [3, 3, 1, 4], [3, 2, 4, 2], [2, 1, 2, 7]]


def test_row_14_im2col_distinct():
    matrix = as_in_matlab(purecnn.im2col(image(A), (2, 2), stride=(2, 2)), (2, 2))
    assert matrix.T.tolist() == [[3, 0, 2, 5], [1, 7, 2, 3], [3, 3, 1, 4], [2, 1, 2, 7]]


@pytest.fixture
def convolved():
    """x 5×5 with rows and columns 0 … 4, w 3×3 with 1 … 3, y and L 3×3 with 1 … 3, as on rows 11 to 13."""
    rng = np.random.default_rng(0)
    x, w, L = (rng.integers(-9, 10, shape).astype(np.float32) for shape in ((5, 5), (3, 3), (3, 3)))
    y, residuals = purecnn.conv2d_fwd(image(x), jnp.asarray(w).reshape(3, 3, 1, 1), jnp.zeros(1))
    bars = purecnn.conv2d_bwd(residuals, image(L))
    return x, w, L, y[0, :, :, 0], [np.asarray(bar).squeeze() for bar in bars]


def test_row_11_every_output_is_nine_products(convolved):
    x, w, _, y, _ = convolved
    for k in (1, 2, 3):
        for l in (1, 2, 3):
            terms = [w[i - 1, j - 1] * x[k - 1 + i - 1, l - 1 + j - 1] for i in (1, 2, 3) for j in (1, 2, 3)]
            assert y[k - 1, l - 1] == sum(terms)


def test_row_12_each_output_that_saw_the_middle_sends_its_weight(convolved):
    """∂L/∂x₂₂ = L₁₁w₃₃ + L₁₂w₃₂ + L₁₃w₃₁ + L₂₁w₂₃ + … + L₃₃w₁₁, and each of the nine terms alone."""
    x, w, L, _, (dLdx, _, _) = convolved
    kernel = jnp.asarray(w).reshape(3, 3, 1, 1)
    alone = jnp.asarray(np.diag(L.ravel()).reshape(9, 3, 3, 1))  # nine cotangents, each with one entry of L
    _, residuals = purecnn.conv2d_fwd(jnp.tile(image(x), (9, 1, 1, 1)), kernel)
    sent = purecnn.conv2d_bwd(residuals, alone)[0][:, 2, 2, 0]
    terms = [L[k - 1, l - 1] * w[4 - k - 1, 4 - l - 1] for k in (1, 2, 3) for l in (1, 2, 3)]
    assert sent.tolist() == terms
    assert dLdx[2, 2] == sum(terms)


def test_row_12_correlation_with_the_kernel_rotated_by_180_degrees(convolved):
    """∂L/∂xᵢⱼ = Σₘₙ L_mn w_{i−m, j−n}, with m, n from 0 and w nought outside its 3×3."""
    _, w, L, _, (dLdx, _, _) = convolved
    for i in range(5):
        for j in range(5):
            inside = [(m, n) for m in range(3) for n in range(3) if 0 <= i - m < 3 and 0 <= j - n < 3]
            assert dLdx[i, j] == sum(L[m, n] * w[i - m, j - n] for m, n in inside)


def test_row_13_weights_and_bias(convolved):
    """∂L/∂wᵢⱼ = Σₖₗ L_kl x_{k+i, l+j} and ∂L/∂b = Σ L."""
    x, _, L, _, (_, dLdw, dLdb) = convolved
    for i in range(3):
        for j in range(3):
            assert dLdw[i, j] == sum(L[k, l] * x[k + i, l + j] for k in range(3) for l in range(3))
    assert dLdb == L.sum()


@pytest.mark.parametrize("algorithm", ["xla", "im2col", "auto"])
def test_row_15_two_products_are_the_cotangents(algorithm):
    """W a row 1×F²: y = W · im2col(x), ∂L/∂W = row(L) · im2col(x)ᵀ, ∂L/∂x = reversed W · im2col(L), "same" size."""
    rng = np.random.default_rng(1)
    x, w, L = (rng.integers(-9, 10, shape).astype(np.float32) for shape in ((4, 6), (3, 3), (4, 6)))
    options = {"padding": 1, "algorithm": algorithm}
    y, residuals = purecnn.conv2d_fwd(image(x), jnp.asarray(w).reshape(3, 3, 1, 1), **options)
    dLdx, dLdw, _ = purecnn.conv2d_bwd(residuals, image(L), **options)

    def im2col(a):
        return as_in_matlab(purecnn.im2col(image(a), 3, padding=1), (3, 3))

    def row(a):
        return a.reshape(1, -1, order="F")

    np.testing.assert_array_equal(row(np.asarray(y).squeeze()), row(w) @ im2col(x))
    np.testing.assert_array_equal(row(np.asarray(dLdw).squeeze()), row(L) @ im2col(x).T)
    np.testing.assert_array_equal(row(np.asarray(dLdx).squeeze()), row(w)[:, ::-1] @ im2col(L))


def test_row_16_both_lists_written_out(x64):
    """pred1 … pred12 and the loss, then the same list in reverse, each `_bwd` fed by the one after it."""
    rng = np.random.default_rng(2)
    shapes = {"w1": (3, 3, 1, 4), "w4": (3, 3, 4, 6), "w8": (24, 10), "w10": (10, 3)}
    w = {name: jnp.asarray(rng.normal(size=shape)) / 3 for name, shape in shapes.items()}
    x, label = jnp.asarray(rng.normal(size=(2, 8, 8, 1))), jnp.array([0, 2])

    @quickly
    def two_lists(w):
        pred1, kept1 = purecnn.conv2d_fwd(x, w["w1"], padding="SAME")
        pred2, kept2 = purecnn.relu_fwd(pred1)
        pred3, kept3 = purecnn.max_pool2d_fwd(pred2)
        pred4, kept4 = purecnn.conv2d_fwd(pred3, w["w4"], padding="SAME")
        pred5, kept5 = purecnn.relu_fwd(pred4)
        pred6, kept6 = purecnn.max_pool2d_fwd(pred5)
        pred7, kept7 = purecnn.flatten_fwd(pred6)
        pred8, kept8 = purecnn.dense_fwd(pred7, w["w8"])
        pred9, kept9 = purecnn.relu_fwd(pred8)
        pred10, kept10 = purecnn.dense_fwd(pred9, w["w10"])
        losses, kept11 = purecnn.softmax_cross_entropy_fwd(pred10, label)

        dLdx10, _ = purecnn.softmax_cross_entropy_bwd(kept11, jnp.ones_like(losses))
        dLdx9, dLdw10, _ = purecnn.dense_bwd(kept10, dLdx10)
        (dLdx8,) = purecnn.relu_bwd(kept9, dLdx9)
        dLdx7, dLdw8, _ = purecnn.dense_bwd(kept8, dLdx8)
        (dLdx6,) = purecnn.flatten_bwd(kept7, dLdx7)
        (dLdx5,) = purecnn.max_pool2d_bwd(kept6, dLdx6)
        (dLdx4,) = purecnn.relu_bwd(kept5, dLdx5)
        dLdx3, dLdw4, _ = purecnn.conv2d_bwd(kept4, dLdx4, padding="SAME")
        (dLdx2,) = purecnn.max_pool2d_bwd(kept3, dLdx3)
        (dLdx1,) = purecnn.relu_bwd(kept2, dLdx2)
        _, dLdw1, _ = purecnn.conv2d_bwd(kept1, dLdx1, padding="SAME")
        return losses.sum(), {"w1": dLdw1, "w4": dLdw4, "w8": dLdw8, "w10": dLdw10}

    def plainly(w):
        """The same net in jax.nn and lax, for autodiff."""
        y = x
        for name in ("w1", "w4"):
            y = jax.lax.conv_general_dilated(y, w[name], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            y = jax.lax.reduce_window(jax.nn.relu(y), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        y = jax.nn.relu(y.reshape(2, -1) @ w["w8"]) @ w["w10"]
        return -jnp.take_along_axis(jax.nn.log_softmax(y), label[:, None], axis=1).sum()

    assert_trees_close(two_lists(w), quickly(jax.value_and_grad(plainly))(w), 1e-12)
