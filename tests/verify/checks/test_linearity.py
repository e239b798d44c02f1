"""What is not linear in ȳ: a clipped gradient is named at whatever ȳ it shows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

from ..faulty_rules.joined import joined, normal

ARGS = normal(3, 4, 5), normal(4, 5, 3)


@pytest.mark.parametrize(("bound", "check"), [(0.5, "gradient"), (9.0, "linearity")])
def test_a_cotangent_clipped_at_any_bound_is_named(bound, check):
    rule = joined(lambda x: x * 1, lambda args, y, g: (jnp.clip(g, -bound, bound),))
    found = verify.check(rule, ARGS[0], cases=0).failures
    assert found[0].check == check
    assert f"cut off at ±{bound:g};" in found[0].cause
    assert all("clips" in f.cause for f in found)


def test_a_reference_without_a_derivative_declares_nothing():
    def plain(x):
        return jax.pure_callback(lambda v: v, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="sequential")

    rule = joined(lambda x: x * 1, lambda args, y, g: (jnp.clip(g, -0.5, 0.5),))
    report = verify.check(rule, ARGS[0], reference=plain, cases=0, checks=("contract", "gradient", "linearity"))
    assert [f.check for f in report.failures] == ["linearity"]


def test_what_is_not_linear_for_another_reason_is_not_called_clipped():
    def backward(args, y, g):
        return g @ args[1].T, args[0].T @ (g + jnp.where(jnp.abs(g) > 20, g, 0))

    found = verify.check(joined(lambda x, w: x @ w, backward), *ARGS, cases=0).failures
    assert {f.check for f in found} == {"linearity"}
    assert not any("clipped" in f.cause for f in found)


def pairs_normalised(x):
    """Of two numbers: ±1 but for ε, and x̄ a small difference of large terms."""
    y = x.reshape(-1, 2)
    centred = y - y.mean(1, keepdims=True)
    return (centred * jax.lax.rsqrt((centred**2).mean(1, keepdims=True) + 1e-6)).reshape(x.shape)


@pytest.mark.parametrize(("off", "verdict"), [(0.0, "right"), (1e-4, "wrong")])
def test_what_cancels_is_linear_within_its_rounding(off, verdict):
    def backward(args, y, g):
        return (jax.vjp(pairs_normalised, args[0])[1](g)[0] + off * g * jnp.abs(g),)

    rule = joined(pairs_normalised, backward)
    assert (
        verify.check(rule, 3 * ARGS[0][:, :4], cases=0, checks=("contract", "linearity", "gradient")).verdict == verdict
    )


def test_an_element_that_is_not_finite_leaves_the_others_their_room():
    rule = joined(lambda x: x.sum(0), lambda args, y, g: (jnp.where(args[0] < -9, jnp.nan, g / 3 * 3),))
    x = ARGS[0].copy()
    x[0, 0] = -10
    found = verify.check(rule, x, cases=0, checks=("linearity",)).failures
    assert not found, found


A = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, 0.2], [0.1, 0.2, 1.8]])


def conjugate_gradients(b):
    """Until a residual is below 1e-3, whatever the size of b; at once where it already is."""

    def step(state):
        x, r, p = state
        along = A.astype(b.dtype) @ p
        length = r @ r / (p @ along)
        x, left = x + length * p, r - length * along
        return x, left, left + (left @ left / (r @ r)) * p

    return jax.lax.while_loop(lambda s: jnp.linalg.norm(s[1]) > 1e-3, step, (jnp.zeros_like(b), b, b))[0]


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.02, "wrong")])
def test_a_cotangent_below_the_tolerance_of_a_solver_is_not_asked_for(factor, verdict):
    rule = joined(conjugate_gradients, lambda args, y, g: (factor * conjugate_gradients(g),))
    b = np.array([0.4, -1.2, 0.7], np.float32)
    report = verify.check(rule, b, cases=0, checks=("contract", "gradient", "linearity", "adjoint"))
    assert report.verdict == verdict, report
