import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.adaptive_avg_pool2d)


ADAPTIVE = named("adaptive_avg_pool2d")


def test_windows_share_a_row_where_the_sizes_do_not_divide():
    """Five rows to three: 0 to 1, 1 to 3, 3 to 4, as PyTorch cuts them; two to three: 0, both, 1."""
    x = jnp.array([1.0, 2, 4, 8, 16]).reshape(1, 5, 1, 1)
    assert purecnn.adaptive_avg_pool2d(x, size=(3, 1)).ravel().tolist() == pytest.approx([1.5, 14 / 3, 12])
    assert purecnn.adaptive_avg_pool2d(x[:, :2], size=(3, 1)).ravel().tolist() == [1, 1.5, 2]


def test_it_is_the_pool_where_the_sizes_divide_and_x_where_they_are_the_same():
    (x,) = named("adaptive_avg_pool2d").arguments("float32")
    expected = purecnn.avg_pool2d(x, window=2)
    np.testing.assert_allclose(purecnn.adaptive_avg_pool2d(x, size=(2, 1)), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(purecnn.adaptive_avg_pool2d(x, size=(4, 2)), x)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_sums_accumulate_in_float32(dtype):
    """256 + 1 + 1 + 2 is 260 and its quarter 65; step by step bfloat16 loses both ones."""
    assert purecnn.adaptive_avg_pool2d(jnp.array([256, 1, 1, 2], dtype).reshape(1, 1, 4, 1), size=1) == 65


def test_nothing_is_kept_but_the_shape():
    _, residuals = ADAPTIVE.fwd(*ADAPTIVE.arguments("float32"), **ADAPTIVE.options)
    assert [r.nbytes for r in residuals] == [0]


def as_if_the_windows_were_disjoint(residuals, y_bar, *, size):
    """Each row of x sends for what the nearest output gave."""
    (shape,) = residuals
    (rows, cols), (height, width) = size, shape.shape[1:3]
    nearest = y_bar[:, [i * rows // height for i in range(height)]][:, :, [j * cols // width for j in range(width)]]
    return (nearest * (rows * cols / (height * width)),)


def sums_not_means(residuals, y_bar, *, size):
    return (2 * purecnn.adaptive_avg_pool2d_bwd(residuals, y_bar, size=size)[0],)


def outputs_from_behind(residuals, y_bar, *, size):
    return purecnn.adaptive_avg_pool2d_bwd(residuals, y_bar[:, ::-1], size=size)


@pytest.mark.parametrize(
    "faulty",
    [
        as_if_the_windows_were_disjoint,
        sums_not_means,
        outputs_from_behind,
        faulty_rules.cotangent_ignored(ADAPTIVE),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(ADAPTIVE, faulty)
