import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from tests import faulty_rules
from tests.catalogue import CONV, check_vjp
from tests.oracles.agreement import ORACLES, assert_cotangents, assert_rejected, assert_trees_close
from verify.running import quickly


def test_the_rule_is_right():
    check_vjp(purecnn.conv2d)


POINT = CONV.variant("1x1", stride=1, padding="VALID", dilation=1, groups=1)
ALGORITHMS = ("xla", "im2col", "wgrad_chunked", "auto")


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((1, 1, 1, 1), (1, 1, 1, 1), {}),
        ((2, 3, 4, 2), (1, 1, 2, 3), {}),
        ((2, 3, 4, 2), (3, 4, 2, 3), {}),  # window = input
        ((1, 5, 5, 1), (2, 2, 1, 1), {"stride": 3}),  # rows left over, and the stride passes over some
        ((2, 4, 4, 3), (3, 3, 1, 6), {"groups": 3, "padding": "SAME", "stride": 2}),  # depthwise
        ((1, 2, 2, 1), (1, 1, 1, 2), {"padding": 2}),  # windows on nothing but padding
        ((0, 3, 3, 2), (2, 2, 2, 1), {}),
        # XLA aborts the process over x̄ as a convolution here
        ((2, 4, 1, 2), (2, 2, 2, 4), {"stride": (2, 1), "padding": ((1, 1), (1, 0))}),
    ],
    ids=["1x1x1", "1x1", "window=input", "remainder", "depthwise", "padding only", "no sample", "aborts XLA"],
)
def test_edges_of_the_geometry(shape, kernel, options):
    """Every algorithm: tests/kernels/test_every_kernel.py."""
    rng = np.random.default_rng(1)
    args = [rng.integers(-3, 4, size).astype(float) for size in (shape, kernel, kernel[3:])]
    assert_cotangents(POINT.variant("edge", algorithm="auto", **options), args, oracles=ORACLES[:2], integers=True)


@pytest.mark.parametrize("algorithm", ["xla", "auto"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_sums_accumulate_in_float32(algorithm, dtype):
    """Every algorithm: tests/kernels/test_every_kernel.py.

    More ones than the dtype can count: adding 1 no longer changes 256 in bfloat16, nor 2048 in float16."""
    terms = {"bfloat16": 512, "float16": 4096}[dtype]
    x, w, b = jnp.ones((1, 1, 1, terms), dtype), jnp.ones((1, 1, terms, 1), dtype), jnp.zeros(1, dtype)
    assert jax.jit(lambda x, w, b: purecnn.conv2d(x, w, b, algorithm=algorithm))(x, w, b) == terms
    x, w = jnp.ones((1, terms, 1, 1), dtype), jnp.ones((1, 1, 1, terms), dtype)
    _, w_bar, b_bar = POINT.backward(x, w[..., :1], b, algorithm=algorithm)
    x_bar, _, _ = POINT.backward(x[:, :1], w, jnp.zeros(terms, dtype), algorithm=algorithm)
    assert (x_bar == terms).all()
    assert (w_bar == terms).all()
    assert (b_bar == terms).all()


def test_keeps_its_arguments_and_nothing_else():
    x, w, b = CONV.arguments("float32")
    _, residuals = purecnn.conv2d_fwd(x, w, b, **CONV.options)
    assert [r is a for r, a in zip(residuals, (x, w, b), strict=True)] == [True] * 3


def test_vmap_over_weights_is_an_ensemble():
    """One batch through a stack of kernels: y and w̄ of each as if alone."""
    x, w, _ = CONV.arguments("float32")
    kernels = jnp.stack([w, 2 * w, -w])

    @quickly
    def both(kernels):
        def gradient(w, algorithm):
            return jax.grad(lambda w: (purecnn.conv2d(x, w, groups=2, algorithm=algorithm) ** 2).sum())(w)

        together = [jax.vmap(lambda w, a=a: gradient(w, a))(kernels) for a in ALGORITHMS]
        return together, [jnp.stack([gradient(w, a) for w in kernels]) for a in ALGORITHMS]

    assert_trees_close(*both(kernels), 1e-6)


def kernel_not_flipped(residuals, y_bar, **options):
    x, w, b = residuals
    _, w_bar, b_bar = purecnn.conv2d_bwd(residuals, y_bar, **options)
    return purecnn.conv2d_bwd((x, w[::-1, ::-1], b), y_bar, **options)[0], w_bar, b_bar


def kernel_flipped_on_one_axis(residuals, y_bar, **options):
    x, w, b = residuals
    _, w_bar, b_bar = purecnn.conv2d_bwd(residuals, y_bar, **options)
    return purecnn.conv2d_bwd((x, w[:, ::-1], b), y_bar, **options)[0], w_bar, b_bar


def groups_swapped(residuals, y_bar, **options):
    return purecnn.conv2d_bwd(residuals, jnp.roll(y_bar, 3, axis=3), **options)


@pytest.mark.parametrize(
    "faulty",
    [
        kernel_not_flipped,
        kernel_flipped_on_one_axis,
        groups_swapped,
        faulty_rules.cotangent_ignored(CONV),
        faulty_rules.as_if(CONV, stride=1),
        faulty_rules.as_if(CONV, dilation=1),
        faulty_rules.as_if(CONV, padding=((0, 1), (2, 0))),
        faulty_rules.first_sample_only(CONV, 1),
        faulty_rules.first_sample_only(CONV, 2),
        faulty_rules.mean_over_batch(CONV, 1),
        faulty_rules.mean_over_batch(CONV, 2),
    ],
)
def test_faulty_rules_are_rejected(faulty):
    assert_rejected(CONV, faulty)
