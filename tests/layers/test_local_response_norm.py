import jax.numpy as jnp
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_cotangents, assert_rejected


def test_the_rule_is_right():
    check_vjp(purecnn.local_response_norm)


NORM = named("local_response_norm")


def test_alpha_multiplies_the_sum_not_the_mean():
    """Krizhevsky et al. §3.3; torch's option of the same name is divided by the size first."""
    y = purecnn.local_response_norm(jnp.full((1, 1, 1, 3), 2.0), size=3, alpha=1.0, beta=1.0, k=1.0)
    assert y.ravel().tolist() == pytest.approx([2 / 9, 2 / 13, 2 / 9])


def test_an_even_band_has_its_extra_channel_before():
    x = jnp.array([1.0, 0, 0, 0, 0]).reshape(1, 1, 1, 5)
    s = [2, 2, 2, 1, 1]  # the channels within [i − 2, i + 1] of channel 0
    y = purecnn.local_response_norm(x + 1e-30, size=4, alpha=1.0, beta=1.0, k=1.0)
    assert (1e-30 / y[0, 0, 0, 1:]).tolist() == pytest.approx([1e0 * si for si in s[1:]])


@pytest.mark.parametrize("size", [1, 2, 5, 20])
def test_bands_of_every_width(size):
    assert_cotangents(NORM.variant(size, size=size))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_squares_do_not_overflow(dtype):
    """300² is beyond float16; the sum accumulates in float32."""
    y = purecnn.local_response_norm(jnp.full((1, 1, 1, 1), 300, dtype), alpha=1.0, beta=0.5, k=1.0)
    assert y == 1


def test_keeps_its_input():
    x = jnp.ones((1, 1, 1, 3))
    _, residuals = purecnn.local_response_norm_fwd(x)
    assert [r is x for r in residuals] == [True]


def band_not_mirrored(residuals, y_bar, *, size, alpha, beta=0.75, k=2.0):
    """An even band is not symmetric: j sees i does not mean i sees j."""
    from purecnn.layers import local_response_norm as module

    (x,) = residuals
    s = module._scale(x, size, alpha, k)
    direct = y_bar * s**-beta
    through_s = module._band_sum(direct * x / s, before=size // 2, after=(size - 1) // 2)
    return (direct - 2 * alpha * beta * x * through_s,)


def only_the_direct_way(residuals, y_bar, *, size, alpha, beta=0.75, k=2.0):
    (x,) = residuals
    y = purecnn.local_response_norm(x, size=size, alpha=alpha, beta=beta, k=k)
    return (y_bar * y / x,)


def factor_two_forgotten(residuals, y_bar, **options):
    direct = only_the_direct_way(residuals, y_bar, **options)[0]
    return ((direct + purecnn.local_response_norm_bwd(residuals, y_bar, **options)[0]) / 2,)


@pytest.mark.parametrize(
    "faulty",
    [
        band_not_mirrored,
        only_the_direct_way,
        factor_two_forgotten,
        faulty_rules.as_if(NORM, beta=0.5),
        faulty_rules.as_if(NORM, alpha=0.3 / 4),
        faulty_rules.cotangent_ignored(NORM),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(NORM, faulty)
