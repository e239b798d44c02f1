import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.softmax)


SOFTMAX = named("softmax")


def test_large_inputs_do_not_overflow():
    x = jnp.array([[800.0, -800.0, 800.0]])
    assert purecnn.softmax(x).tolist() == [[0.5, 0, 0.5]]
    assert SOFTMAX.backward(x, y_bar=jnp.array([[1.0, 7.0, 0.0]]))[0].tolist() == [[0.25, 0, -0.25]]


def test_cotangent_sums_to_zero_along_the_classes():
    """A shift of all inputs changes nothing."""
    (x,) = SOFTMAX.arguments("float32")
    y_bar = jnp.asarray(np.random.default_rng(1).normal(size=x.shape), x.dtype)
    np.testing.assert_allclose(SOFTMAX.backward(x, y_bar=y_bar)[0].sum(axis=-1), 0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_sums_accumulate_in_float32(dtype):
    classes = {"bfloat16": 512, "float16": 4096}[dtype]
    assert (purecnn.softmax(jnp.zeros(classes, dtype)) == 1 / classes).all()


def test_keeps_its_output():
    y, residuals = purecnn.softmax_fwd(jnp.ones((1, 3)))
    assert [r is y for r in residuals] == [True]


def diagonal_only(residuals, y_bar):
    """Each output as if it saw its own input alone, as sigmoid's does."""
    (y,) = residuals
    return (y_bar * y * (1 - y),)


def sum_instead_of_mean(residuals, y_bar):
    (y,) = residuals
    return (y * (y_bar - y_bar.sum(axis=-1, keepdims=True)),)


def along_the_wrong_axis(residuals, y_bar):
    (y,) = residuals
    return (y * (y_bar - (y * y_bar).sum(axis=1, keepdims=True)),)


def as_if_behind_a_cross_entropy(residuals, y_bar):
    """ŷ − y is the two rules together, not softmax's."""
    (y,) = residuals
    return (y - y_bar,)


@pytest.mark.parametrize(
    "faulty",
    [
        diagonal_only,
        sum_instead_of_mean,
        along_the_wrong_axis,
        as_if_behind_a_cross_entropy,
        faulty_rules.cotangent_ignored(SOFTMAX),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(SOFTMAX, faulty)
