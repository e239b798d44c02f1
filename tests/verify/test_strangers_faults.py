"""Faults of public bug reports that the example call does not show, each beside the right rule, which passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.sampling import one_in
from tests.verify.rules import joined

pytestmark = pytest.mark.usefixtures("a_users_jax")
RNG = np.random.default_rng(3)
CHECKS = ("contract", "gradient", "conditioning")


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def probabilities(q, k, segments):
    same = segments[:, :, None] == segments[:, None, :]
    return jax.nn.softmax(jnp.where(same, q @ jnp.swapaxes(k, -1, -2), -1e30))


def attention(q, k, segments):
    return probabilities(q, k, segments)


def attention_bwd(res, g, *, wrong):
    q, k, segments = res
    p = probabilities(q, k, jnp.zeros_like(segments) if wrong else segments)
    ds = p * (g - (g * p).sum(-1, keepdims=True))
    return ds @ k, jnp.swapaxes(ds, -1, -2) @ q, None


def slope_cut_off(res, g, *, wrong):
    (x,) = res
    slope = 1 - jnp.tanh(x) ** 2
    return (g * jnp.where((jnp.abs(x) > 3) & wrong, 0, slope),)


def top(x):
    return x.max(-1)


def top_bwd(res, g, *, wrong):
    (x,) = res
    index = jnp.argmax(x, -1).astype(jnp.uint8 if wrong else jnp.int32)
    return (jnp.zeros_like(x).at[jnp.arange(x.shape[0]), index].set(g),)


def entropy(z, labels, *, ignore_index=-100):
    kept = labels != ignore_index
    picked = jnp.take_along_axis(jax.nn.log_softmax(z), jnp.where(kept, labels, 0)[:, None], -1)[:, 0]
    return -jnp.where(kept, picked, 0).sum() / jnp.maximum(kept.sum(), 1)


def entropy_bwd(res, g, *, wrong, ignore_index=-100):
    z, labels = res
    kept = labels != ignore_index
    target = jax.nn.one_hot(jnp.where(kept, labels, 0), z.shape[-1], dtype=z.dtype)
    count = labels.size if wrong else jnp.maximum(kept.sum(), 1)
    return g * kept[:, None] * (jax.nn.softmax(z) - target) / count, None


def penalised(z, *, z_loss=0.0):
    return z_loss * jax.nn.logsumexp(z, -1) ** 2 + z.sum(-1)


def penalised_bwd(res, g, *, wrong, z_loss=0.0):
    (z,) = res
    slope = 0 if wrong else 2 * z_loss * jax.nn.logsumexp(z, -1, keepdims=True) * jax.nn.softmax(z)
    return (g[:, None] * (1 + slope + 0 * z),)


ONE_SEGMENT = np.zeros((2, 5), np.int32)
FAULTS = {
    "segment ids ignored, one segment in the example": (
        *(attention, attention_bwd, normal(2, 5, 4), normal(2, 5, 4), ONE_SEGMENT),
    ),
    "a slope cut off beyond 3, numbers below 2 in the example": (
        *(lambda x: jnp.tanh(x), slope_cut_off, RNG.uniform(-2, 2, (4, 5)).astype(np.float32)),
    ),
    "an index of 8 bits": (top, top_bwd, normal(4, 5)),
    "the mean over the ignored labels too, none ignored in the example": (
        *(entropy, entropy_bwd, normal(4, 5), np.array([0, 3, 1, 4], np.int32)),
    ),
    "a penalty without a gradient, 0 in the example": (penalised, penalised_bwd, normal(4, 5)),
}


@pytest.mark.parametrize("fault", one_in(2, FAULTS))
def test_is_seen_and_its_right_twin_passes(fault):
    fun, backward, *args = FAULTS[fault]
    assert verify.check(joined(fun, backward, wrong=True), *args, checks=CHECKS).verdict == "wrong"
    report = verify.check(joined(fun, backward, wrong=False), *args, checks=CHECKS)
    assert report.ok, report


def test_a_finding_says_with_which_option_the_rule_is_wrong():
    report = verify.check(joined(penalised, penalised_bwd, wrong=True), normal(4, 5), checks=CHECKS)
    assert "right as called, wrong with z_loss=0.4" in report.failures[0].cause


@pytest.mark.parametrize("wrong", [True, False])
def test_a_missing_conjugate_is_named(wrong):
    def modulus(z):
        return jnp.abs(z)

    def bwd(res, g, *, wrong):
        (z,) = res
        return ((g * (z if wrong else jnp.conj(z)) / jnp.abs(z)).astype(z.dtype),)

    z = (normal(3, 4) + 1j * normal(3, 4)).astype(np.complex64)
    report = verify.check(joined(modulus, bwd, wrong=wrong), z, checks=CHECKS, cases=0)
    assert report.ok is not wrong, report
    assert all("a conjugate is missing" in f.cause for f in report.failures)


@pytest.mark.parametrize("wrong", [True, False])
def test_a_triangle_that_is_not_read_is_named(wrong):
    def solve(a, b):
        return jax.scipy.linalg.solve_triangular(a, b, lower=True)

    def bwd(res, g, *, wrong):
        a, b = res
        db = jax.scipy.linalg.solve_triangular(a, g, lower=True, trans=1)
        da = -db @ solve(a, b).T
        return da if wrong else jnp.tril(da), db

    lower = (np.tril(normal(4, 4)) + 2 * np.eye(4)).astype(np.float32)
    report = verify.check(joined(solve, bwd, wrong=wrong), lower, normal(4, 2), checks=CHECKS, cases=0)
    assert report.ok is not wrong, report
    assert all("one triangle alone" in f.cause and "above the diagonal" in f.pattern for f in report.failures)


@pytest.mark.parametrize("wrong", [True, False])
def test_a_linear_solve_of_jax_s_own_is_held_against_forward_mode_before_anything_else(wrong):
    def solve(a, b):
        def transposed(_, v):
            return jnp.linalg.solve(a if wrong else a.T, v)

        return jax.lax.custom_linear_solve(lambda x: a @ x, b, lambda _, v: jnp.linalg.solve(a, v), transposed)

    a = (normal(4, 4) / 3 + np.eye(4)).astype(np.float32)
    report = verify.check(solve, a, normal(4), seconds=0)
    assert report.ok is not wrong, report
