import jax
import jax.numpy as jnp
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.concatenate)


CHANNELS = named("concatenate")
A, B = jnp.arange(6.0).reshape(2, 3), -jnp.arange(4.0).reshape(2, 2)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_arrays(count):
    xs = [jnp.full((2, k + 1), float(k)) for k in range(count)]
    y, vjp = jax.vjp(purecnn.concatenate, *xs)
    assert y[0].tolist() == [k for k in range(count) for _ in range(k + 1)]
    assert all((bar == x).all() for bar, x in zip(vjp(y), xs, strict=True))


def test_along_the_batch_and_from_the_other_end():
    assert purecnn.concatenate(A, A[:1], axis=0).tolist() == [*A.tolist(), *A[:1].tolist()]
    assert (purecnn.concatenate(A, B, axis=1) == purecnn.concatenate(A, B)).all()
    _, residuals = purecnn.concatenate_fwd(A, A[:1], axis=0)
    assert [bar.tolist() for bar in purecnn.concatenate_bwd(residuals, A[jnp.array([1, 0, 0])], axis=0)] == [
        A[::-1].tolist(),
        A[:1].tolist(),
    ]


def test_nothing_is_kept_but_the_sizes():
    _, residuals = CHANNELS.fwd(*CHANNELS.arguments("float32"))
    assert [r.nbytes for r in residuals] == [0, 0, 0]


@pytest.mark.usefixtures("users_errors")
@pytest.mark.parametrize(
    ("error", "xs", "axis", "message"),
    [
        (ValueError, (), -1, "concatenate: xs: got no array, expected at least one"),
        (TypeError, ([A, B],), -1, r"concatenate: xs\[0\]: got list, expected float16, bfloat16"),
        (TypeError, (A, B.astype("bfloat16")), -1, r"concatenate: xs\[1\]: got bfloat16, expected float32, the dtype"),
        (
            ValueError,
            (A, B),
            0,
            r"concatenate: xs\[1\]: got shape \(2, 2\), expected that of xs\[0\], \(2, 3\), but for",
        ),
        (ValueError, (A, B[0]), -1, r"concatenate: xs\[1\]: got shape \(2,\), expected that of xs\[0\]"),
        (ValueError, (A, B), 2, r"concatenate: axis: got 2, expected an axis of xs\[0\], of shape \(2, 3\)"),
        (ValueError, (A, B), -3, "concatenate: axis: got -3"),
    ],
    ids=["none", "a list", "dtype", "another axis", "rank", "axis 2", "axis -3"],
)
def test_errors_name_layer_and_argument(error, xs, axis, message):
    with pytest.raises(error, match=message):
        purecnn.concatenate(*xs, axis=axis)


def order_reversed(residuals, y_bar, **options):
    return purecnn.concatenate_bwd(residuals[::-1], y_bar, **options)[::-1]


def all_from_the_start(residuals, y_bar, **options):
    """Slices of the right size, of which each begins at the first channel."""
    return tuple(y_bar[..., : r.shape[1]] for r in residuals)


def equal_parts(residuals, y_bar, **options):
    """As if every array had as many channels."""
    bars = jnp.split(y_bar, len(residuals), axis=-1)
    return tuple(jnp.resize(bar, (*bar.shape[:-1], r.shape[1])) for bar, r in zip(bars, residuals, strict=True))


@pytest.mark.parametrize(
    "faulty", [order_reversed, all_from_the_start, equal_parts, faulty_rules.cotangent_ignored(CHANNELS)]
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(CHANNELS, faulty)
