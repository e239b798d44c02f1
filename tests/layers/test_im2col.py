import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.im2col)
    check_vjp(purecnn.col2im)


IM2COL, COL2IM = named("im2col"), named("col2im")


def test_rows_are_row_major_in_the_window_with_the_channel_fastest():
    x = jnp.arange(2 * 3 * 2.0).reshape(1, 2, 3, 2)
    cols = purecnn.im2col(x, 2)
    assert cols.shape == (1, 1, 2, 8)
    assert cols[0, 0, 0].tolist() == x[0, :2, :2].ravel().tolist()
    assert cols[0, 0, 1].tolist() == x[0, :2, 1:].ravel().tolist()


def test_col2im_counts_how_often_an_entry_was_seen():
    x = jnp.ones((1, 3, 3, 1))
    seen = purecnn.col2im(purecnn.im2col(x, 2), x.shape, 2)
    assert seen[0, :, :, 0].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


def test_distinct_blocks_come_back_unchanged():
    x = jnp.arange(4 * 6 * 2.0).reshape(1, 4, 6, 2)
    assert (purecnn.col2im(purecnn.im2col(x, (2, 3), stride=(2, 3)), x.shape, (2, 3), stride=(2, 3)) == x).all()


def test_sixteen_bit_copies_add_up_in_float32():
    """Three windows see the middle entry; 256 + 1 + 1 in bfloat16 steps would stay 256."""
    copies = jnp.array([[256, 1, 1], [1, 256, 1], [1, 1, 256]], jnp.bfloat16)  # added in every order
    cols = jnp.zeros((3, 1, 3, 3), jnp.bfloat16).at[:, 0, jnp.arange(3), jnp.array([2, 1, 0])].set(copies)
    assert (purecnn.col2im(cols, (3, 1, 5, 1), (1, 3))[:, 0, 2, 0] == 258).all()
    x = jnp.zeros((3, 1, 5, 1), jnp.bfloat16)
    (x_bar,) = IM2COL.backward(x, y_bar=cols, window=(1, 3), stride=1, padding=0, dilation=1)
    assert (x_bar[:, 0, 2, 0] == 258).all()


def test_nothing_is_kept():
    for subject in (IM2COL, COL2IM):
        _, residuals = subject.fwd(*subject.arguments("float32"), **subject.options)
        assert sum(r.nbytes for r in residuals) == 0


def offsets_in_reverse(residuals, cols_bar, window, **options):
    offsets = cols_bar.reshape(*cols_bar.shape[:3], 9, 3)[..., ::-1, :].reshape(cols_bar.shape)
    return purecnn.im2col_bwd(residuals, offsets, window, **options)


def channel_slowest(residuals, cols_bar, window, **options):
    swapped = jnp.swapaxes(cols_bar.reshape(*cols_bar.shape[:3], 3, 9), 3, 4).reshape(cols_bar.shape)
    return purecnn.im2col_bwd(residuals, swapped, window, **options)


def overlaps_overwrite(residuals, cols_bar, window, **options):
    """The inverse where there is one, not the adjoint: the mean of the copies instead of their sum."""
    (x_bar,) = purecnn.im2col_bwd(residuals, cols_bar, window, **options)
    (copies,) = purecnn.im2col_bwd(residuals, jnp.ones_like(cols_bar), window, **options)
    return (x_bar / jnp.maximum(copies, 1),)


@pytest.mark.parametrize(
    "faulty",
    [
        offsets_in_reverse,
        channel_slowest,
        overlaps_overwrite,
        faulty_rules.cotangent_ignored(IM2COL),
        faulty_rules.as_if(IM2COL, padding=((0, 1), (2, 0))),
    ],
)
def test_faulty_im2col_rules_are_rejected(faulty):
    assert_rejected(IM2COL, faulty)


def divided_by_the_copies(residuals, x_bar, input_shape, window, **options):
    (cols_bar,) = purecnn.col2im_bwd(residuals, x_bar, input_shape, window, **options)
    copies = purecnn.col2im(jnp.ones_like(cols_bar), input_shape, window, **options)
    return purecnn.col2im_bwd(residuals, x_bar / jnp.maximum(copies, 1), input_shape, window, **options)


def window_transposed(residuals, x_bar, input_shape, window, **options):
    (cols_bar,) = purecnn.col2im_bwd(residuals, x_bar, input_shape, window, **options)
    offsets = cols_bar.reshape(*cols_bar.shape[:3], *window, 3)
    return (jnp.swapaxes(offsets, 3, 4).reshape(cols_bar.shape),)


def padding_on_the_other_side(residuals, x_bar, input_shape, window, *, padding, **options):
    return purecnn.col2im_bwd(residuals, x_bar, input_shape, window, padding=((0, 1), (2, 0)), **options)


@pytest.mark.parametrize(
    "faulty",
    [divided_by_the_copies, window_transposed, padding_on_the_other_side, faulty_rules.cotangent_ignored(COL2IM)],
)
def test_faulty_col2im_rules_are_rejected(faulty):
    assert_rejected(COL2IM, faulty)


def test_adjoint_of_each_other():
    x, cols = IM2COL.arguments("float32")[0], COL2IM.arguments("float32")[0]
    left = np.vdot(jax.jit(IM2COL.call)(x), cols)
    right = np.vdot(x, jax.jit(COL2IM.call)(cols))
    assert left == pytest.approx(right, rel=1e-5)
