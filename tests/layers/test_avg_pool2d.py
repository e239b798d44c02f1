import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import check_vjp, named
from tests.oracles.agreement import assert_rejected, assert_variants


def test_the_rule_is_right():
    check_vjp(purecnn.avg_pool2d)


AVERAGE, COUNTED = named("avg_pool2d"), named("avg_pool2d-count")


def test_a_large_window_in_two_passes_equals_the_oracles():
    x = np.random.default_rng(0).normal(size=(2, 8, 9, 2))
    large = {"window": (5, 4), "stride": (2, 3), "padding": ((2, 1), (3, 0))}
    assert_variants([AVERAGE.variant(c, **large, count_include_pad=c) for c in (False, True)], (x,))


def test_padding_is_counted_only_if_asked():
    x = jnp.full((1, 2, 2, 1), 8.0)
    around = {"window": 2, "stride": 1, "padding": 1}
    assert purecnn.avg_pool2d(x, **around)[0, :, :, 0].tolist() == [[8] * 3] * 3
    counted = purecnn.avg_pool2d(x, count_include_pad=True, **around)[0, :, :, 0]
    assert counted.tolist() == [[2, 4, 2], [4, 8, 4], [2, 4, 2]]


def test_a_window_on_nothing_but_padding_gives_zero_and_no_cotangent():
    x = jnp.ones((1, 1, 1, 1))
    assert purecnn.avg_pool2d(x, window=1, padding=1)[0, :, :, 0].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    (x_bar,) = COUNTED.backward(x, y_bar=2, window=1, padding=1, count_include_pad=False)
    assert x_bar.tolist() == [[[[2]]]]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_sums_accumulate_in_float32(dtype):
    """256 + 1 + 1 + 2 is 260 and its quarter 65; step by step bfloat16 loses both ones."""
    assert purecnn.avg_pool2d(jnp.array([256, 1, 1, 2], dtype).reshape(1, 1, 4, 1), window=(1, 4)) == 65


def test_sixteen_bit_cotangents_add_up_in_float32():
    """Three windows see the middle entry; 256 + 1 + 1 in bfloat16 steps would stay 256."""
    x, shares = jnp.zeros((3, 1, 5, 1), jnp.bfloat16), [[256, 1, 1], [1, 256, 1], [1, 1, 256]]
    y_bar = 3 * jnp.array(shares, jnp.bfloat16).reshape(3, 1, 3, 1)
    (x_bar,) = COUNTED.backward(x, y_bar=y_bar, window=(1, 3), stride=1, padding=0)
    assert (x_bar[:, 0, 2, 0] == 258).all()


def test_nothing_is_kept_but_the_shape():
    _, residuals = AVERAGE.fwd(*AVERAGE.arguments("float32"), **AVERAGE.options)
    assert [r.nbytes for r in residuals] == [0]


def mean_forgotten(residuals, y_bar, **options):
    counts = purecnn.avg_pool2d(jnp.ones((2, 5, 4, 3)), **options)  # 1 wherever a window sees the input
    return purecnn.avg_pool2d_bwd(residuals, 8 * y_bar * counts.astype(y_bar.dtype), **options)


@pytest.mark.parametrize(
    "faulty",
    [
        mean_forgotten,
        faulty_rules.as_if(AVERAGE, count_include_pad=True),
        faulty_rules.as_if(AVERAGE, stride=1),
        faulty_rules.as_if(AVERAGE, padding=((0, 2), (1, 0))),
        faulty_rules.cotangent_ignored(AVERAGE),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(AVERAGE, faulty)
