"""Verdicts that a sample of rules from public packages and bug reports got wrong, each beside its opposite."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import with_arguments

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(8)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def screw(w):
    """A vector of three numbers, which are read one by one, times its square: any length runs."""
    return jnp.stack([w[1], w[2], w[0]]) * (w @ w)


@pytest.mark.parametrize("wrong", [True, False])
def test_three_coordinates_stay_three_where_their_norm_is_taken_too(wrong):
    def bwd(r, g):
        (w,) = r
        along = jnp.stack([g[2], g[0], g[1]]) * (w @ w)
        return (along + (1 if wrong else 2) * w * (g @ jnp.stack([w[1], w[2], w[0]])),)

    report = verify.check(with_arguments(screw, bwd), normal(3), checks=("contract", "gradient"))
    assert report.ok is not wrong, report


@pytest.mark.parametrize("wrong", [True, False])
def test_coordinates_of_two_sets_of_points_stay_two(wrong):
    """Offsets between points of any number of coordinates, of which two are read."""

    def area(p, q):
        d = p[:, None] - q
        return d[..., 0] * d[..., 1]

    def bwd(r, g):
        d = r[0][:, None] - r[1]
        bar = jnp.stack([d[..., 1] * g, d[..., 0] * g], -1)
        return bar.sum(1), bar.sum(0) if wrong else -bar.sum(0)

    report = verify.check(with_arguments(area, bwd), normal(4, 2), normal(5, 2), checks=("contract", "gradient"))
    assert report.ok is not wrong, report


def test_a_sum_of_any_length_is_not_one_of_three_coordinates():
    def bwd(r, g):
        return (jnp.stack([g, g, g]) * 2 * r[0],)

    own = with_arguments(lambda w: w @ w, bwd)
    assert verify.check(own, normal(3), checks=("contract", "gradient")).verdict == "wrong"


def segment_product(x, ids):
    return jax.ops.segment_prod(x, ids, 3)


@pytest.mark.parametrize("wrong", [True, False])
def test_nan_where_autodiff_has_no_rule_and_differences_have_a_slope(wrong):
    def bwd(r, g):
        x, ids = r
        if wrong:
            return (g * segment_product(x, ids))[ids] / x, None
        others = (ids[:, None] == ids) & ~np.eye(len(x), dtype=bool)
        return g[ids] * jnp.where(others, x, 1).prod(1), None

    ids = np.array([0, 0, 1, 2, 2, 2], np.int32)
    own = with_arguments(segment_product, bwd)
    report = verify.check(own, normal(6), ids, checks=("contract", "gradient", "finite", "differences"))
    assert report.ok is not wrong, report


def test_an_infinite_slope_where_autodiff_has_no_rule_is_a_note():
    def root(x):
        host = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(lambda x: np.sqrt(np.abs(x)), host, x, vmap_method="expand_dims")

    own = with_arguments(root, lambda r, g: (g * 0.5 * jnp.sign(r[0]) / jnp.sqrt(jnp.abs(r[0])),))
    report = verify.check(own, normal(4), checks=("contract", "gradient", "finite", "differences"))
    assert report.ok, report
    assert any(n.startswith("finite: ") for n in report.notes)


def sum_of_weighted(a, b):
    return jax.nn.logsumexp(a, axis=-1, b=b)


def sum_of_weighted_bwd(r, g, *, wrong):
    a, b = r
    share = jnp.exp(a - sum_of_weighted(a, b)[:, None]) * g[:, None]
    return share if wrong else share * b, share


@pytest.mark.parametrize("wrong", [True, False])
def test_where_the_function_is_infinite_no_derivative_is_asked(wrong):
    """log 0, the sum's weights being all 0: autodiff of JAX's own guard says 0 there."""
    own = with_arguments(sum_of_weighted, functools.partial(sum_of_weighted_bwd, wrong=wrong))
    report = verify.check(own, normal(4, 5), np.abs(normal(4, 5)) + 1, cases=1, checks=("contract", "gradient"))
    assert report.ok is not wrong, report


@pytest.mark.parametrize("wrong", [True, False])
def test_the_rounding_of_an_output_of_800_may_enter_an_exponent(wrong):
    def bwd(r, g):
        a, b = r
        y = sum_of_weighted(a, b)[:, None]
        y = y * (1 + 3e-7) if wrong else y  # two roundoffs and a half
        return jnp.exp(a - y) * g[:, None] * b, jnp.exp(a - y) * g[:, None]

    a, b = np.array([[800, 0, 1], [790, 1, -2], [-5, 3, 810]], np.float32), np.array([[1.3, 2, 3]] * 3, np.float32)
    own = with_arguments(sum_of_weighted, bwd)
    assert bool(verify.check(own, a, b, cases=1, checks=("conditioning",)).failures) is wrong


@pytest.mark.parametrize("wrong", [True, False])
def test_a_complex_axis_of_which_the_function_reads_a_fixed_part(wrong):
    """The spectrum of 7 numbers: `irfft` takes longer ones and cuts them off."""

    def bwd(r, g):
        weights = np.array([1, 2, 2, 1 if wrong else 2]) / 7
        return ((weights * jnp.conj(jnp.fft.rfft(g))).astype(r[0].dtype),)

    own = with_arguments(lambda z: jnp.fft.irfft(z, 7), bwd)
    z = (normal(2, 4) + 1j * normal(2, 4)).astype(np.complex64)
    report = verify.check(own, z, checks=("contract", "gradient"))
    assert report.ok is not wrong, report
