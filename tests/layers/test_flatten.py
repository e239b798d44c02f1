import jax.numpy as jnp
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.flatten)


FLATTEN = named("flatten")


@pytest.mark.parametrize("shape", [(2,), (2, 3, 4, 5), (0, 3, 4)])
def test_every_rank_becomes_two_axes_and_comes_back(shape):
    x = jnp.arange(float(jnp.zeros(shape).size)).reshape(shape)
    y, residuals = purecnn.flatten_fwd(x)
    assert y.ndim == 2
    assert len(y) == len(x)
    assert y.ravel().tolist() == x.ravel().tolist()
    (x_bar,) = purecnn.flatten_bwd(residuals, y)
    assert x_bar.shape == x.shape
    assert (x_bar == x).all()


def test_nothing_is_kept_but_the_shape():
    _, residuals = purecnn.flatten_fwd(jnp.ones((2, 3)))
    assert [r.nbytes for r in residuals] == [0]


def channels_slowest(residuals, y_bar):
    """The order of frameworks with the channels first: what a test with a cotangent of ones cannot see."""
    shape = residuals[0].shape
    return (jnp.moveaxis(y_bar.reshape(len(y_bar), shape[3], shape[1], shape[2]), 1, 3),)


def columns_first(residuals, y_bar):
    shape = residuals[0].shape
    return (jnp.swapaxes(y_bar.reshape(len(y_bar), shape[2], shape[1], shape[3]), 1, 2),)


def batch_reversed(residuals, y_bar):
    return purecnn.flatten_bwd(residuals, y_bar[::-1])


@pytest.mark.parametrize(
    "faulty", [channels_slowest, columns_first, batch_reversed, faulty_rules.cotangent_ignored(FLATTEN)]
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(FLATTEN, faulty)
