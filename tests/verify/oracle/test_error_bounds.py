"""The running error analysis bounds the errors that float32 really makes, and not by much."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verify.oracle.error_bounds import with_error_bounds

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def conv(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


FUNCTIONS = {
    "product": (lambda a, b: a @ b, (draw(20, 300), draw(300, 20))),
    "convolution": (conv, (draw(2, 9, 9, 8), draw(3, 3, 8, 5))),
    "sum": (lambda a: a.sum(0), (draw(1000, 7),)),
    "softmax": (jax.nn.softmax, (10 * draw(30, 10),)),
    "logsumexp": (lambda a: jax.nn.logsumexp(a, axis=1), (10 * draw(30, 10),)),
    "variance": (lambda a: ((a - a.mean(0)[None]) ** 2).mean(0), (draw(50, 4) + 30,)),
    "deviation of equal numbers": (
        lambda a: jnp.sqrt(((a - a.mean(0)[None]) ** 2).mean(0)),
        (np.full((11, 3), [0.7, 9.1, 30.3], np.float32),),
    ),
    "scan": (lambda a: jax.lax.scan(lambda c, x: (c * x + x, c), jnp.ones_like(a[0]), a)[0], (draw(12, 5),)),
    "cond": (lambda a: jax.lax.cond(a[0] > 0, jnp.sin, jnp.exp, a), (draw(8),)),
    "Fourier transforms": (lambda a: jnp.fft.irfft(jnp.fft.rfft(a) * jnp.fft.rfft(a[::-1]), 16), (draw(6, 16),)),
    "complex product": (lambda a: jnp.real(jnp.exp(jax.lax.complex(a, -a)) @ jax.lax.complex(a, a).T), (draw(6, 16),)),
    "held constant": (lambda a: jax.lax.stop_gradient(a.mean(0)), (draw(50, 4),)),
    "cancellation": (lambda a: (a + 1000) - 1000, (draw(100),)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bounds_the_error_of_float32(name, x64):
    function, args = FUNCTIONS[name]
    run = jax.jit(with_error_bounds(lambda *a: [function(*a)]))
    (exact,), (magnitude,) = run(*[a.astype(np.float64) for a in args])
    error = np.abs(np.asarray(function(*args), np.float64) - exact) / 2.0**-24
    assert np.all(error <= 4 * np.asarray(magnitude))
    assert error.max() >= 1e-3 * np.asarray(magnitude).max(), "a bound that says nothing"


def test_an_element_does_not_inherit_its_neighbours_size(x64):
    a = np.diag([1e6, 1.0])
    (_,), (magnitude,) = with_error_bounds(lambda a, b: [a @ b])(a, np.ones((2, 3)))
    assert np.all(np.asarray(magnitude)[1] < 10)


def test_wide_sums_round_once(x64):
    ones = np.ones((4096,))
    (_,), (narrow,) = with_error_bounds(lambda a: [a.sum()])(ones)
    (_,), (wide,) = with_error_bounds(lambda a: [a.sum()], wide_sums=True)(ones)
    assert float(wide) == 4096
    assert float(narrow) == 4096 * 33
