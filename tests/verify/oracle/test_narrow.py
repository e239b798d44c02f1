"""A function that casts to bfloat16 inside, as mixed precision does, is compared as finely as bfloat16 allows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify
from verify.oracle.narrow import mixed

RNG = np.random.default_rng(0)
NARROW = jnp.bfloat16


def dense(x, w):
    return jnp.tanh(x.astype(NARROW) @ w.astype(NARROW)).astype(jnp.float32)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (0.5, "wrong")])
def test_mixed_precision_is_right_and_half_a_cotangent_is_not(factor, verdict):
    def bwd(r, g):
        x, w = (a.astype(NARROW) for a in r)
        d = g.astype(NARROW) * (1 - jnp.tanh(x @ w) ** 2)
        return (d @ w.T).astype(jnp.float32), factor * (x.T @ d).astype(jnp.float32)

    rule = jax.custom_vjp(dense)
    rule.defvjp(lambda x, w: (dense(x, w), (x, w)), bwd)
    x, w = (RNG.standard_normal(s).astype(np.float32) for s in ((5, 4), (4, 3)))
    report = verify.check(rule, x, w, cases=2)
    assert report.verdict == verdict, report
    assert {f.argument for f in report.failures} <= {"w"}


def test_only_what_the_function_itself_casts_to_counts():
    x = RNG.standard_normal((3, 2)).astype(np.float32)
    assert mixed(lambda x: [jnp.sin(x)], [x]) == 0
    assert mixed(lambda x: [x.astype(jnp.float8_e4m3fn).astype(x.dtype)], [x]) < 1e-8  # a quantiser
    assert mixed(lambda x: [x.astype(NARROW).astype(x.dtype)], [x]) > 1e-5

    narrow_backward = jax.custom_vjp(lambda x: jnp.exp(x))
    narrow_backward.defvjp(
        lambda x: (jnp.exp(x),) * 2, lambda y, g: ((g.astype(NARROW) * y.astype(NARROW)).astype(g.dtype),)
    )
    assert verify.check(narrow_backward, x, cases=0, checks=("gradient",)).verdict == "wrong"


def decayed(x):
    """h ← 0.99 h + x, with the state in float32."""

    def step(h, x):
        h = 0.99 * h + x.astype(jnp.float32)
        return h, h.astype(x.dtype)

    return jax.lax.scan(step, jnp.zeros(x.shape[1:], jnp.float32), x)[1]


@pytest.mark.parametrize(("state", "verdict"), [(jnp.float32, "right"), (NARROW, "wrong")])
def test_a_state_in_bfloat16_backward_is_much_worse_than_autodiff(state, verdict):
    def bwd(r, g):
        def step(d, g):
            d = g.astype(state) + d
            return d * jnp.asarray(0.99, state), d.astype(g.dtype)

        return (jax.lax.scan(step, jnp.zeros(g.shape[1:], state), g, reverse=True)[1],)

    rule = jax.custom_vjp(decayed)
    rule.defvjp(lambda x: (decayed(x), None), bwd)
    x = RNG.standard_normal((64, 3)).astype(NARROW)
    report = verify.check(rule, x, checks=("contract", "gradient", "low precision"), cases=0)
    assert report.verdict == verdict, report


@pytest.mark.usefixtures("a_users_jax")
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.001, "wrong")])
def test_a_rule_that_is_complex64_by_name_is_compared_as_finely_as_that_allows(factor, verdict):
    """Its rounding is no clipping of the cotangent."""

    def bwd(_, g):
        doubled = jnp.fft.rfft(g) * jnp.array([1, 2, 2, 2, 1]) * factor
        return (jnp.conj(doubled / 8).astype(jnp.complex64),)

    rule = jax.custom_vjp(lambda x: jnp.fft.irfft(x, 8))
    rule.defvjp(lambda x: (jnp.fft.irfft(x, 8), None), bwd)
    x = (RNG.standard_normal(5) + 1j * RNG.standard_normal(5)).astype(np.complex64)
    report = verify.check(rule, x, cases=0, checks=("gradient", "linearity"))
    assert report.verdict == verdict, report
