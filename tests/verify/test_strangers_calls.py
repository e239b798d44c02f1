"""Rules as strangers write them: faults that only other calls than the example show, and calls that used to raise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


def rule(fun, bwd):
    wrapped = jax.custom_vjp(fun)
    wrapped.defvjp(lambda x: (fun(x), x), bwd)
    return wrapped


def sin(x):
    return jnp.sin(x)


def only_float32(x):
    assert x.dtype == jnp.float32
    return jnp.sin(x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def every(x, stride=1):
    return x[:, ::stride]


every.defvjp(
    lambda x, stride: (every(x, stride), x.shape),
    lambda stride, shape, g: (jnp.zeros(shape, g.dtype).at[:, : g.shape[1]].set(g),),
)
WRONG = {
    "columns beyond 128": rule(sin, lambda x, g: (g * jnp.cos(x) * (jnp.arange(x.shape[-1]) < 128),)),
    "flushed": rule(lambda x: x * 1.0, lambda x, g: (jnp.where(jnp.abs(g) < 1e-4, 0, g),)),
    "clipped": rule(lambda x: x * 1.0, lambda x, g: (jnp.clip(g, -10, 10),)),
    "a default stride": every,
}


@pytest.mark.parametrize("name", WRONG)
def test_fault_beyond_the_example_is_seen(name):
    assert verify.check(WRONG[name], X).verdict == "wrong"


def cosine(x, g):
    return (g * jnp.cos(x),)


@pytest.mark.parametrize(
    ("function", "argument", "verdict"),
    [
        (rule(only_float32, cosine), X, "right"),
        (rule(sin, cosine), 3.14, "right"),
        (rule(sin, cosine), X[:0], "could not be checked"),
    ],
    ids=["insists on float32", "a Python float", "no entries"],
)
def test_no_call_raises(function, argument, verdict):
    assert verify.check(function, argument).verdict == verdict
