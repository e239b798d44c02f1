import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.squared_error)


SQUARES = named("squared_error")


def test_lecture_row_2_has_no_half():
    prediction, target = jnp.array([[3.0, 1.0]]), jnp.array([[1.0, 2.0]])
    assert purecnn.squared_error(prediction, target).tolist() == [5]
    prediction_bar, target_bar = SQUARES.backward(prediction, target)
    assert prediction_bar.tolist() == [[4, -2]]
    assert target_bar.tolist() == [[-4, 2]]


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 2, 2)])
def test_one_loss_a_sample_whatever_the_rank(shape):
    rng = np.random.default_rng(0)
    prediction, target = (jnp.asarray(rng.integers(-3, 4, shape), "float32") for _ in range(2))
    expected = ((np.asarray(prediction) - np.asarray(target)) ** 2).reshape(3, -1).sum(axis=1)
    assert purecnn.squared_error(prediction, target).tolist() == expected.tolist()


@pytest.mark.parametrize(("dtype", "bits"), [("bfloat16", 8), ("float16", 11)])
def test_sixteen_bit_errors_and_sums_are_those_of_float32(dtype, bits):
    """1 − 2⁻⁹ needs nine bits, one more than bfloat16 has; squared and added up it makes half a unit less."""
    shape = (1, 2 ** (bits - 1))
    target = jnp.full(shape, 2.0 ** -(bits + 1), dtype)
    assert purecnn.squared_error(jnp.ones(shape, dtype), target) == 2 ** (bits - 1) - 0.5


def test_keeps_its_arguments():
    args = SQUARES.arguments("float32")
    _, residuals = purecnn.squared_error_fwd(*args)
    assert [r is a for r, a in zip(residuals, args, strict=True)] == [True, True]


def half_of_it(residuals, loss_bar):
    return tuple(bar / 2 for bar in purecnn.squared_error_bwd(residuals, loss_bar))


def same_sign_for_both(residuals, loss_bar):
    prediction_bar, target_bar = purecnn.squared_error_bwd(residuals, loss_bar)
    return prediction_bar, -target_bar


def mean_over_features(residuals, loss_bar):
    return purecnn.squared_error_bwd(residuals, loss_bar / 4)


@pytest.mark.parametrize(
    "faulty", [half_of_it, same_sign_for_both, mean_over_features, faulty_rules.cotangent_ignored(SQUARES)]
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(SQUARES, faulty)
