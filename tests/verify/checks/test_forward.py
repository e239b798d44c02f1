"""The value, where no gradient can be compared."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify


def pool(x, *, dilation=1):
    window, strides = (1, 2, 2, 1), (1, 1, 1, 1)
    lowest, spread = -np.inf, (1, dilation, dilation, 1)
    return jax.lax.reduce_window(x, lowest, jax.lax.max, window, strides, "VALID", window_dilation=spread)


def undilated(x, *, dilation=1):
    return pool(x)[:, dilation - 1 :, dilation - 1 :]


def gathered(x, *, dilation=1):
    h, w = x.shape[1] - dilation, x.shape[2] - dilation
    corners = [x[:, i : i + h, j : j + w] for i in (0, dilation) for j in (0, dilation)]
    stack = jax.numpy.stack(corners)
    return jax.numpy.take_along_axis(stack, stack.argmax(0)[None], 0)[0]  # the first of tied entries, as XLA's


@pytest.mark.parametrize(("rule", "verdict"), [(undilated, "wrong"), (gathered, "right")])
def test_values_are_compared_where_the_reference_has_no_gradient(rule, verdict):
    """JAX has no derivative of a dilated maximum."""
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 2)).astype(np.float32)
    report = verify.check(rule, x, reference=pool)
    assert report.verdict == verdict
    assert not report.failures or {f.check for f in report.failures} == {"forward"}


def test_a_cast_to_eight_bits_may_round_otherwise_where_xla_optimises_more():
    def cast(x):
        return x.astype(jax.numpy.float8_e4m3fn).astype(x.dtype)

    rule = jax.custom_vjp(cast)
    rule.defvjp(lambda x: (cast(x), None), lambda _, g: (g,))
    x = np.linspace(-1, 1, 257, dtype=np.float32)  # every tie between two numbers of eight bits
    report = verify.check(rule, x, reference=lambda x: x + jax.lax.stop_gradient(cast(x) - x), checks=("forward",))
    assert not report.failures, report


def test_a_value_that_the_formula_itself_loses_in_float32_is_no_fault():
    """∞ · 0 at 30, in a rule that has a right slope there."""

    def scaled(x):
        return jnp.exp(x * x) * jax.scipy.special.erfc(x)

    rule = jax.custom_vjp(scaled)
    rule.defvjp(lambda x: (scaled(x), x), lambda x, g: (g * (2 * x * scaled(x) - 2 / np.sqrt(np.pi)),))
    x = np.array([1.0, -0.5, 2.0, 0.3, 1.5], np.float32)
    assert not verify.check(rule, x, checks=("forward",)).failures
    assert verify.check(rule, x, checks=("forward",), reference=lambda x: scaled(x) + 1e-3).failures
