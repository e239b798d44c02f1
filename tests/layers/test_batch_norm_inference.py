import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected
from verify.running import quickly


def test_the_rule_is_right():
    check_vjp(purecnn.batch_norm_inference)


NORM, INFERENCE = named("batch_norm"), named("batch_norm_inference")


def test_inference_with_the_batchs_own_statistics_is_the_same_output():
    x, scale, bias = NORM.arguments("float32")
    y, mean, variance = quickly(purecnn.batch_norm)(x, scale, bias)
    again = quickly(purecnn.batch_norm_inference)(x, scale, bias, mean, variance)
    np.testing.assert_allclose(again, y, rtol=1e-5, atol=1e-6)


def test_statistics_may_stay_float32_beside_sixteen_bit_inputs():
    x, scale, bias, mean, variance = INFERENCE.arguments("bfloat16")
    wide = [a.astype(jnp.float32) for a in (mean, variance)]
    bars = INFERENCE.backward(x, scale, bias, *wide)
    assert [bar.dtype for bar in bars] == [jnp.bfloat16] * 3 + [jnp.float32] * 2


def variance_cotangent_without_the_half(residuals, y_bar, *, epsilon=1e-5):
    *bars, variance_bar = purecnn.batch_norm_inference_bwd(residuals, y_bar, epsilon=epsilon)
    return (*bars, 2 * variance_bar)


def mean_cotangent_with_the_wrong_sign(residuals, y_bar, *, epsilon=1e-5):
    *bars, mean_bar, variance_bar = purecnn.batch_norm_inference_bwd(residuals, y_bar, epsilon=epsilon)
    return (*bars, -mean_bar, variance_bar)


def scale_forgotten(residuals, y_bar, *, epsilon=1e-5):
    x, scale, mean, variance = residuals
    _, *bars = purecnn.batch_norm_inference_bwd(residuals, y_bar, epsilon=epsilon)
    return (purecnn.batch_norm_inference_bwd((x, scale * 0 + 1, mean, variance), y_bar, epsilon=epsilon)[0], *bars)


@pytest.mark.parametrize(
    "faulty",
    [
        variance_cotangent_without_the_half,
        mean_cotangent_with_the_wrong_sign,
        scale_forgotten,
        faulty_rules.cotangent_ignored(INFERENCE),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(INFERENCE, faulty)
