import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected, assert_variants


def test_the_rule_is_right():
    check_vjp(purecnn.upsample2d)


NEAREST, BILINEAR = named("upsample2d-nearest"), named("upsample2d-bilinear")


@pytest.mark.parametrize(
    ("sizes", "scales"),
    [((1, 2), (2, 1)), ((1, 3), (3, 2)), ((2, 1), (2, 4)), ((2, 4), (3, 4)), ((3, 2), (1, 4)), ((4, 3), (2, 3))],
)
def test_every_size_and_scale_along_either_axis(sizes, scales):
    x = np.random.default_rng(0).integers(-3, 4, (2, *sizes, 2)).astype(float)
    variants = [NEAREST.variant(m, scale=scales, method=m) for m in ("nearest", "bilinear")]
    assert_variants(variants, (x,), tolerance=1e-14)


def test_between_two_middles_the_values_lie_on_a_line_and_beyond_them_are_constant():
    x = jnp.array([0.0, 8.0]).reshape(1, 2, 1, 1)
    assert purecnn.upsample2d(x, (4, 1), method="bilinear").ravel().tolist() == [0, 0, 1, 3, 5, 7, 8, 8]
    assert purecnn.upsample2d(x, (4, 1)).ravel().tolist() == [0, 0, 0, 0, 8, 8, 8, 8]


def test_a_scale_of_1_changes_nothing():
    (x,) = BILINEAR.arguments("float32")
    for method in ("nearest", "bilinear"):
        assert (purecnn.upsample2d(x, 1, method=method) == x).all()
        assert (BILINEAR.backward(x, y_bar=x, scale=1, method=method)[0] == x).all()


def test_a_constant_stays_and_its_cotangents_add_up_to_those_of_y():
    for method in ("nearest", "bilinear"):
        assert (purecnn.upsample2d(jnp.full((1, 3, 2, 1), 5.0), (2, 4), method=method) == 5).all()
        (x_bar,) = NEAREST.backward(jnp.zeros((1, 3, 2, 1)), scale=(2, 4), method=method)
        assert x_bar.sum() == 6 * 8


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_cotangents_add_up_in_float32(dtype):
    """256 + 1 + 1 + 2 is 260; step by step bfloat16 loses both ones."""
    (x_bar,) = NEAREST.backward(
        jnp.zeros((1, 1, 1, 1), dtype), y_bar=jnp.array([[256, 1], [1, 2]], dtype)[None, ..., None], scale=2
    )
    assert x_bar == 260


def test_nothing_is_kept_but_the_shape():
    for subject in (NEAREST, BILINEAR):
        _, residuals = subject.fwd(*subject.arguments("float32"), **subject.options)
        assert [r.nbytes for r in residuals] == [0]


@pytest.mark.usefixtures("users_errors")
@pytest.mark.parametrize(
    ("error", "shape", "options", "message"),
    [
        (ValueError, (2, 3, 3), {"scale": 2}, r"upsample2d: x: got shape \(2, 3, 3\), expected 4 axes \(N H W C\)"),
        (ValueError, (2, 0, 3, 1), {"scale": 2}, r"upsample2d: x: got shape \(2, 0, 3, 1\), expected at least one row"),
        (ValueError, (2, 3, 3, 1), {"scale": 0}, "upsample2d: scale: got 0, expected at least 1"),
        (TypeError, (2, 3, 3, 1), {"scale": 1.5}, "upsample2d: scale: got 1.5, expected an integer"),
        (
            ValueError,
            (2, 3, 3, 1),
            {"scale": 2, "method": "cubic"},
            "upsample2d: method: got 'cubic', expected one of 'nearest', 'bilinear'",
        ),
    ],
    ids=["rank", "empty", "scale 0", "scale 1.5", "method"],
)
def test_errors_name_layer_and_argument(error, shape, options, message):
    with pytest.raises(error, match=message):
        purecnn.upsample2d(jnp.ones(shape), **options)


def mean_of_the_copies(residuals, y_bar, *args, **options):
    return (purecnn.upsample2d_bwd(residuals, y_bar, *args, **options)[0] / 6,)


def one_of_the_copies(residuals, y_bar, scale, **options):
    return (y_bar[:, :: scale[0], :: scale[1]],)


def rows_and_columns_swapped(residuals, y_bar, scale, **options):
    (x,) = NEAREST.arguments(y_bar.dtype)
    cells = y_bar.reshape(len(y_bar), scale[0], x.shape[1], scale[1], x.shape[2], x.shape[3])
    return (cells.sum(axis=(1, 3)),)  # as if the copies of the image stood beside each other


@pytest.mark.parametrize(
    "faulty",
    [mean_of_the_copies, one_of_the_copies, rows_and_columns_swapped, faulty_rules.cotangent_ignored(NEAREST)],
)
def test_faulty_rules_of_nearest_are_rejected(faulty):
    assert_rejected(NEAREST, faulty)


def as_if_nearest(residuals, y_bar, scale, *, method):
    return purecnn.upsample2d_bwd(residuals, y_bar, scale, method="nearest")


def edges_forgotten(residuals, y_bar, scale, *, method):
    """What the first and last row take from themselves in their neighbour's place is lost."""
    (x_bar,) = purecnn.upsample2d_bwd(residuals, y_bar, scale, method=method)
    lost = y_bar[:, 0].reshape(len(y_bar), x_bar.shape[2], scale, -1).sum(axis=2) / (2 * scale)
    return (x_bar.at[:, 0].add(-lost),)


def interpolated_between_corners(residuals, y_bar, scale, *, method):
    """`align_corners=True`: the first and last output rows lie on the first and last rows of x."""
    (shape,) = residuals

    def matrix(size):
        at = jnp.arange(scale * size, dtype=y_bar.dtype) * (size - 1) / (scale * size - 1)
        return jnp.maximum(1 - abs(at[:, None] - jnp.arange(size, dtype=y_bar.dtype)[None]), 0)

    return (jnp.einsum("oh,pv,nopc->nhvc", matrix(shape.shape[1]), matrix(shape.shape[2]), y_bar),)


@pytest.mark.parametrize(
    "faulty", [as_if_nearest, edges_forgotten, interpolated_between_corners, faulty_rules.cotangent_ignored(BILINEAR)]
)
def test_faulty_rules_of_bilinear_are_rejected(faulty):
    assert_rejected(BILINEAR, faulty)
