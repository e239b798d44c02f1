"""A backward rule that raises: what usually makes JAX say so."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas

import verify

from ..faulty_rules.joined import joined, normal


def test_a_product_whose_sizes_do_not_meet_misses_a_transpose():
    def backward(args, y, g):
        x, w = args
        return g @ w, x.T @ g

    report = verify.check(joined(lambda x, w: x @ w, backward), normal(0, 4, 5), normal(1, 5, 3), cases=0)
    assert [f.argument for f in report.failures] == ["the backward rule"]
    assert "a transpose is missing or one too many (A for Aᵀ)" in report.failures[0].cause


def test_a_cotangent_of_another_shape_names_the_argument():
    rule = jax.custom_vjp(lambda x, w: x @ w)
    rule.defvjp(lambda x, w: (x @ w, (x, w)), lambda res, g: (g @ res[1].T, g.T @ res[0]))
    (found,) = verify.check(rule, jnp.ones((3, 4)), jnp.ones((4, 2)), cases=0, checks=("contract",)).failures
    assert "the cotangent of the rule's argument number 2 has another shape" in found.cause


def test_a_bias_whose_axis_of_1_is_broadcast_is_right_for_one_sample_too():
    right = joined(lambda x, b: x + b, lambda args, y, g: (g, g.sum(0, keepdims=True)))
    assert verify.check(right, normal(0, 1, 4), normal(1, 1, 4)).ok


def test_a_rule_that_is_right_for_one_sample_only_is_wrong():
    def backward(args, y, g):
        x, z = args
        return (g * z).sum(0, keepdims=True), (g * x).sum(0, keepdims=True)

    report = verify.check(joined(lambda x, z: x * z, backward), normal(0, 1, 4), normal(1, 1, 4))
    assert "contract" in {f.check for f in report.failures}


def test_what_jax_says_it_cannot_differentiate_is_no_fault():
    segments = verify.check(lambda x: jax.ops.segment_prod(x, jnp.array([0, 1, 0]), 2), normal(0, 3, 2), cases=0)
    vectors = verify.check(lambda a: jnp.abs(jnp.linalg.eig(a)[1]), normal(0, 3, 3), cases=0)
    a, b, x = np.linspace(0.2, 0.8, 9, dtype=np.float32).reshape(3, 3)
    beta = verify.check(jax.scipy.special.betainc, a, b, x, cases=0)
    for report in (segments, vectors, beta):
        assert report.verdict == "could not be checked", report
        assert "JAX cannot differentiate the function" in report.because


def test_nor_is_a_kernel_without_a_derivative_but_an_output_that_depends_on_tangents_is_one():
    def kernel(x_ref, y_ref):
        y_ref[...] = jnp.exp(x_ref[...])

    def run(x):
        return pallas.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)(x)

    report = verify.check(run, normal(0, 3), cases=0)
    assert "JAX cannot differentiate the function" in report.because, report
    wrong = jax.custom_jvp(jnp.exp)
    wrong.defjvp(lambda p, t: (jnp.exp(*p) + 0 * t[0], jnp.exp(*p) * t[0]))
    assert verify.check(wrong, normal(0, 3), cases=0).verdict == "wrong"


def carried(x, kernel, before):
    """A causal convolution in chunks: of the last chunk it still sees `before`, one row less than the kernel."""
    whole = jnp.concatenate([before, x])
    y = sum(whole[k : k + len(x)] * weight for k, weight in enumerate(kernel))
    return y, whole[len(x) :]


def carried_backward(args, y, g):
    x, kernel, before = args
    whole, width = jnp.concatenate([before, x]), len(kernel)
    bar = jnp.zeros_like(whole).at[len(x) :].add(g[1])
    for k in range(width):
        bar = bar.at[k : k + len(x)].add(g[0] * kernel[k])
    kernel_bar = jnp.stack([(g[0] * whole[k : k + len(x)]).sum() for k in range(width)])
    return bar[width - 1 :], kernel_bar, bar[: width - 1]


def test_sizes_that_differ_by_one_in_the_example_do_so():
    right = joined(carried, carried_backward)
    report = verify.check(right, normal(0, 6), normal(1, 4), normal(2, 3), checks=("contract", "gradient"))
    assert report.ok, report
    assert any("differ by one" in o.reason for o in report.outcomes)


def test_sizes_at_which_the_rule_is_right_are_no_reason_to_raise_with_an_option():
    """A cotangent for each sample multiplies the last axis, in the example as long as the first."""

    def loss(x, y, reduction="mean"):
        each = ((x - y[..., None]) ** 2).sum((1, 2))
        return each.mean() if reduction == "mean" else each

    def backward(r, g, *, wrong, reduction="mean"):
        x, y = r
        d = 2 * (x - y[..., None]) * (g / len(x) if reduction == "mean" else g if wrong else g[:, None, None])
        return d, -d.sum(-1)

    def rule(wrong):
        def chosen(x, y, reduction="mean"):
            own = jax.custom_vjp(lambda x, y: loss(x, y, reduction))
            fwd = lambda x, y: (loss(x, y, reduction), (x, y))  # noqa: E731
            own.defvjp(fwd, lambda r, g: backward(r, g, wrong=wrong, reduction=reduction))
            return own(x, y)

        return chosen

    numbers = np.random.default_rng(7).standard_normal
    for wrong in (True, False):
        report = verify.check(rule(wrong), numbers((4, 3, 4)), numbers((4, 3)), checks=("contract", "gradient"))
        assert report.ok is not wrong, report
