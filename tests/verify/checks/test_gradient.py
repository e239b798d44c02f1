"""A verdict is relative to the dtype of the call; an error below its resolution is a note."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from tests.verify.rules import SLOPES, assert_only_the_fault_is_seen

from ..faulty_rules.joined import joined, normal

RNG = np.random.default_rng(0)
A_SQUARE = (np.random.default_rng(1).standard_normal((3, 3)) + 2 * np.eye(3)).astype(np.float32)


def gelu(x):
    return 0.5 * x * (1 + jnp.tanh(0.7978845608028654 * (x + 0.044715 * x**3)))


def gelu_backward(constant):
    def backward(args, y, g):
        (x,) = args
        t = jnp.tanh(constant * x * (1 + 0.044715 * x * x))
        return (g * (0.5 * x * (1 - t * t) * constant * (1 + 3 * 0.044715 * x * x) + 0.5 * (1 + t)),)

    return backward


# (digits of the constant, dtype of the call, verdict, whether a note says how far off it is)
GELU = [
    (0.79788456, np.float32, "right", True),
    (0.79788456, np.float64, "wrong", False),
    (0.7979, np.float32, "wrong", False),
    (0.7978845608028654, np.float32, "right", False),
]


@pytest.mark.parametrize(("constant", "dtype", "verdict", "noted"), GELU)
def test_a_difference_that_the_dtype_of_the_call_cannot_resolve_is_a_note(constant, dtype, verdict, noted, x64):
    report = verify.check(joined(gelu, gelu_backward(constant)), normal(0, 4, 6).astype(dtype), checks=SLOPES)
    assert report.verdict == verdict, str(report)
    assert any("beyond float32" in note for note in report.notes) == noted


def test_in_16_bits_a_hundredth_too_much_is_noted_beside_what_the_elements_are():
    def backward(args, y, g):
        return (1.01 * 3 * jnp.cos(3 * args[0]) * g,)

    rule = joined(lambda x: jnp.sin(3 * x), backward)
    report = verify.check(rule, normal(0, 4, 6).astype(jnp.bfloat16), checks=SLOPES)
    (note,) = [note for note in report.notes if "beyond bfloat16" in note]
    assert report.ok, report
    assert "1.0e-02 of the largest element (24 of 24 elements)" in note


def rms_norm(x, scale):
    return scale[None] * x / jnp.sqrt((x**2).mean(axis=1, keepdims=True))


def rms_norm_backward(forgotten):
    def backward(args, y, g):
        x, scale = args
        r = jnp.sqrt((x**2).mean(axis=1, keepdims=True))
        through = x * (scale[None] * g * x).mean(axis=1, keepdims=True) / r**3
        return scale[None] * g / r - (0 if forgotten else through), (g * x / r).sum(axis=0)

    return backward


@pytest.mark.parametrize(("forgotten", "verdict"), [(False, "right"), (True, "wrong")])
def test_where_the_true_gradient_cancels_to_zero_rounding_is_no_fault(forgotten, verdict):
    scale = np.abs(normal(1, 6)) + np.float32(0.2)
    report = verify.check(joined(rms_norm, rms_norm_backward(forgotten)), normal(0, 4, 6), scale, checks=SLOPES)
    assert report.verdict == verdict, str(report)


def test_targets_that_sum_to_one_but_for_rounding():
    def loss(z, t):
        return -(t * jax.nn.log_softmax(z)).sum(-1)

    def backward(args, y, g):
        z, t = args
        return g[:, None] * (jax.nn.softmax(z) - t), -g[:, None] * jax.nn.log_softmax(z)

    smoothed = (0.02 + 0.9 * np.eye(5)[[0, 1, 2, 4]]).astype(np.float32)
    report = verify.check(joined(loss, backward), normal(0, 4, 5), smoothed, checks=SLOPES)
    assert report.ok, str(report)


def test_equal_numbers_are_not_printed_as_different():
    def near(args, y, g):
        return (g * jnp.cos(args[0]) * (1 + 1e-11),)

    with jax.enable_x64(True):
        report = verify.check(joined(jnp.sin, near), normal(0, 3, 4).astype(np.float64), cases=0)
    (found,) = report.failures
    shown = str(found).split("expected ")[1].split("\n")[0].split(", got ")
    assert shown[0] != shown[1]
    assert "×1," not in str(found)
    assert "×(1 + 1.0e-11)" in found.pattern


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.001, "wrong")])
def test_a_root_by_newton_is_not_asked_at_zero_where_its_steps_do_not_suffice(factor, verdict):
    def root(a):
        return jax.lax.fori_loop(0, 30, lambda _, s: 0.5 * (s + a / s), jnp.ones_like(a))

    rule = joined(root, lambda args, y, g: (factor * g / (2 * y),))
    report = verify.check(rule, np.abs(normal(0, 5)) + np.float32(0.8), checks=("gradient", "finite"))
    assert report.verdict == verdict, report


def test_nan_at_zero_is_wrong_though_the_example_is_positive():
    rule = joined(lambda x: x * x, lambda args, y, g: (2 * g * args[0] ** 2 / args[0],))
    assert verify.check(rule, np.abs(normal(0, 5)) + np.float32(0.8), checks=("gradient",)).verdict == "wrong"


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.01, "wrong")])
def test_a_bound_that_says_nothing_is_measured(factor, verdict):
    """The bound doubles with each of Newton's steps, while the actual errors decay."""

    def root(a):
        return jax.lax.fori_loop(0, 70, lambda _, s: 0.5 * (s + a / s), jnp.ones_like(a))

    rule = joined(root, lambda args, y, g: (factor * g / (2 * y),))
    report = verify.check(rule, np.abs(normal(0, 5)) + np.float32(0.8), cases=0, checks=("gradient",))
    assert report.verdict == verdict, report
    assert report.detection_limits[0][1] < 1e-4


def masked(q, k):
    z = jnp.where(jnp.tril(jnp.ones((len(q), len(k)), bool), len(k) - len(q)), q @ k.T, -jnp.inf)
    return jax.nn.softmax(z)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (2.0, "wrong")])
def test_where_the_function_is_nan_a_cotangent_may_be(factor, verdict):
    def bwd(r, g):
        q, k = r
        p = masked(q, k)
        ds = factor * p * (g - (g * p).sum(-1, keepdims=True))
        return ds @ k, ds.T @ q

    rule = jax.custom_vjp(masked)
    rule.defvjp(lambda q, k: (masked(q, k), (q, k)), bwd)
    q, k = RNG.standard_normal((3, 4)).astype(np.float32), RNG.standard_normal((2, 4)).astype(np.float32)
    report = verify.check(rule, q, k, cases=0, checks=("gradient",))
    assert report.verdict == verdict, report


def polar(a):
    """The orthogonal factor of a square matrix: it jumps where a singular value is 0."""
    u, _, v = jnp.linalg.svd(a)
    return u @ v


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.001, "wrong")])
def test_where_the_function_is_singular_nothing_is_asked(factor, verdict):
    def bwd(r, g):
        u, s, v = r
        m = u.T @ g @ v.T
        return (factor * u @ ((m - m.T) / (s[:, None] + s[None])) @ v,)

    rule = jax.custom_vjp(polar)
    rule.defvjp(lambda a: (polar(a), jnp.linalg.svd(a)), bwd)
    report = verify.check(rule, A_SQUARE, cases=1, checks=("gradient", "finite"))
    assert report.verdict == verdict, report


def weights(x, k=1):
    """The largest probabilities, normalised: a single one is 1 whatever x is."""
    top = jax.lax.top_k(jax.nn.softmax(x), k)[0]
    return top / top.sum(-1, keepdims=True)


def weights_bwd(r, g, *, wrong, k=1):
    return (jnp.zeros_like(r[0]),) if wrong else jax.vjp(lambda x: weights(x, k), r[0])[1](g)


def test_terms_that_cancel_in_the_example_make_no_other_call_singular():
    x = RNG.standard_normal((4, 5)).astype(np.float32)
    assert_only_the_fault_is_seen(weights, weights_bwd, x, checks=("contract", "gradient"))


def smooth(x):
    w = jnp.exp(-0.5 * ((jnp.arange(11.0) - 5) / 1.5) ** 2)
    return jax.vmap(lambda row: jnp.convolve(row, w / w.sum(), mode="valid"))(x)


def covariance(a, b):
    """As in SSIM: of constant numbers a rounding decides whether the sign is 0."""
    d = smooth(a * b) - smooth(a) * smooth(b)
    return jnp.sign(d) * jnp.minimum(jnp.abs(d), 0.1)


def test_a_branch_that_a_rounding_decides_is_no_fault_of_a_function_without_a_rule():
    a, b = np.random.default_rng(0).uniform(0.1, 1, (4, 3, 16)).astype(np.float32)[2:]
    report = verify.check(covariance, a, b, checks=("gradient",))
    assert report.ok, str(report)
    rule = jax.custom_vjp(covariance)
    rule.defvjp(lambda a, b: jax.vjp(covariance, a, b), lambda pull, g: (pull(g)[0], 1.01 * pull(g)[1]))
    assert [f.argument for f in verify.check(rule, a, b, checks=("gradient",), cases=0).failures] == ["b"]
