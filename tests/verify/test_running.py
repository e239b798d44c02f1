"""Programs compiled quickly give what programs compiled slowly give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verify import running

from .faulty_rules.joined import normal


@pytest.mark.parametrize("once", [False, True])
def test_quickly_compiled_programs_agree(once):
    def function(x):
        return jnp.tanh(x @ x.T).sum(axis=0)

    x = normal(0, 5, 4)
    np.testing.assert_allclose(running.quickly(function, once=once)(x), jax.jit(function)(x), rtol=1e-6, atol=1e-6)


def test_an_option_that_a_release_does_not_know_is_left_out(monkeypatch):
    known = jax.jit

    def picky(fun, compiler_options=None):
        if compiler_options and "xla_cpu_use_fusion_emitters" in compiler_options:
            raise ValueError("no such option")
        return known(fun, compiler_options=compiler_options)

    monkeypatch.setattr(jax, "jit", picky)
    options = tuple(running.QUICK.items())
    assert running._supported.__wrapped__("cpu", options) == {"xla_cpu_parallel_codegen_split_count": 1}
    assert running._supported.__wrapped__("gpu", options) is None


def test_float64_is_allowed_inside_and_not_outside():
    with running.widened(running.WIDE):
        assert jnp.ones(1, jnp.float64).dtype == np.float64
    assert not jax.config.jax_enable_x64


def test_a_single_number_is_widened_like_an_array():
    (wide,), (kept,) = running._converted(running.WIDE, ([np.float32(0.1)], [np.int32(3)]))
    assert wide.dtype == np.float64
    assert kept.dtype == np.int32


def test_what_is_not_finite_is_asked_of_an_optimised_program():
    """In one without optimisations a number may be rounded in two ways, so that none is the maximum: 0/0."""

    def run(arrays):
        return [a / 0 for a in arrays]

    run.unoptimised, run.__wrapped__ = True, lambda arrays: [2 * a for a in arrays]
    x = np.ones(2, np.float32)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(running.call(run, running.OWN, [x]), [2 * x])
        assert np.isnan(running.call(run, running.OWN, [np.nan * x])).all()
    assert running.quickly(jnp.sin).unoptimised
    assert not running.quickly(jnp.sin, once=False).unoptimised


@pytest.mark.parametrize("compiled", [jax.jit, running.quickly])
def test_two_fourier_transforms_do_not_share_threads(compiled, monkeypatch):
    """On JAX 0.11.2 each waited for threads that the other held."""
    asked = []
    known = running._supported
    monkeypatch.setattr(
        running, "_supported", lambda platform, options: asked.append(options) or known(platform, options)
    )
    run = compiled(lambda arrays: [jax.jit(jnp.fft.fft)(a).real for a in arrays])
    x = normal(0, 4, 8)
    (y,) = running.call(run, running.OWN, [x])
    np.testing.assert_allclose(y, np.fft.fft(x).real, rtol=1e-5, atol=1e-5)
    assert ("xla_cpu_multi_thread_eigen", False) in asked[-1]

    asked.clear()
    running.call(compiled(lambda arrays: [jnp.sin(a) for a in arrays]), running.OWN, [x])
    assert not any("xla_cpu_multi_thread_eigen" in dict(options) for options in asked)
