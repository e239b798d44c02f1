import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import AUTODIFF, LOOPS, assert_cotangents, assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.relu)


RELU = named("relu")
AROUND_ZERO = np.array([[-1.0, -0.0, 0.0, 1.0, 1e-30, -1e-30]])


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_slope_at_either_zero_is_the_declared_one(slope):
    (x_bar,) = RELU.backward(jnp.asarray(AROUND_ZERO, "float32"), y_bar=4, slope_at_zero=slope)
    assert x_bar.tolist() == [[0, 4 * slope, 4 * slope, 4, 4, 0]]


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0])
def test_two_oracles_agree_with_it_at_zero(slope):
    """Those that know the convention; the third would see ½."""
    assert_cotangents(RELU.variant(slope, slope_at_zero=slope), [AROUND_ZERO], oracles=(AUTODIFF, LOOPS), integers=True)


def test_default_is_the_slope_of_jax():
    x = jnp.asarray(AROUND_ZERO, "float32")
    ours, jaxs = (jax.grad(lambda x, f=f: f(x).sum())(x) for f in (purecnn.relu, jax.nn.relu))
    np.testing.assert_array_equal(ours, jaxs)


def test_nan_passes_forward_and_gets_nothing_back():
    x = jnp.array([jnp.nan])
    assert np.isnan(purecnn.relu(x))
    assert RELU.backward(x)[0] == 0


def test_keeps_its_output_which_the_next_layer_keeps_too():
    """For a slope at zero y is not enough: it does not tell x = 0 from x < 0."""
    x = jnp.linspace(-1, 1, 20).reshape(4, 5)
    y, (kept,) = purecnn.relu_fwd(x)
    assert kept is y
    _, (kept,) = purecnn.relu_fwd(x, slope_at_zero=0.5)
    assert kept is x


def leaks_below_zero(residuals, y_bar, **options):
    (y,) = residuals
    return (jnp.where(y > 0, y_bar, 0.01 * y_bar),)


def sign_the_wrong_way(residuals, y_bar, **options):
    (y,) = residuals
    return (jnp.where(y > 0, 0.0, 1.0) * y_bar,)


def zero_counted_as_positive(residuals, y_bar, **options):
    """y ≥ 0 is true everywhere."""
    (y,) = residuals
    return (jnp.where(y >= 0, y_bar, jnp.zeros_like(y_bar)),)


def passed_through(residuals, y_bar, **options):
    return (y_bar,)


def gated_by_the_cotangent(residuals, y_bar, **options):
    """What is called guided back-propagation: a picture, not a gradient."""
    return purecnn.relu_bwd(residuals, jnp.maximum(y_bar, 0), **options)


@pytest.mark.parametrize(
    "faulty",
    [
        leaks_below_zero,
        sign_the_wrong_way,
        zero_counted_as_positive,
        passed_through,
        gated_by_the_cotangent,
        faulty_rules.cotangent_ignored(RELU),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(RELU, faulty)


def test_another_slope_at_zero_is_rejected():
    def other_slope(residuals, y_bar, *, slope_at_zero):
        return purecnn.relu_bwd(residuals, y_bar, slope_at_zero=1.0)

    subject = RELU.variant("half", slope_at_zero=0.5)
    assert_rejected(subject, other_slope, [AROUND_ZERO], oracles=(AUTODIFF, LOOPS))


def test_sixteen_bits_do_not_round_the_slope_at_zero():
    y_bar = jnp.arange(1, 200).astype("bfloat16")
    exact = (y_bar.astype("float32") * 0.3).astype("bfloat16")
    (x_bar,) = purecnn.relu_bwd((jnp.zeros(199, "bfloat16"),), y_bar, slope_at_zero=0.3)
    assert (x_bar == exact).all()
    assert (y_bar * jnp.bfloat16(0.3) != exact).any()
