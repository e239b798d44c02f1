"""Functions whose numbers decide how they are traced."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import verify

X = np.random.default_rng(0).standard_normal(4).astype(np.float32)


def of_its_constants(x):
    """A number that no argument decides, which is a tracer under `jit`."""
    return jnp.sin(x) if bool(jnp.ones(2).sum() > 1) else jnp.cos(x)


def repeated(x, count):
    for _ in range(int(count)):
        x = jnp.sin(x)
    return x


def of_its_values(x):
    return jnp.sin(x) if x.sum() > 0 else jnp.cos(x)


def of_a_shape_it_computes(x):
    """A size computed by JAX, of which JAX says no more than that it is a tracer."""
    return jnp.broadcast_to(jnp.sin(x), (*jnp.array([2, 3]), 4))


def ruled(factor):
    rule = functools.wraps(repeated)(jax.custom_vjp(repeated, nondiff_argnums=(1,)))
    rule.defvjp(
        lambda x, count: (repeated(x, count), x),
        lambda count, x, g: (factor * jax.vjp(lambda x: repeated(x, count), x)[1](g)[0],),
    )
    return rule


@pytest.mark.parametrize(
    ("function", "args", "verdict"),
    [
        (of_its_constants, (X,), "right"),
        (of_a_shape_it_computes, (X,), "right"),
        (repeated, (X, np.int32(3)), "right"),
        (lambda x, count: sum(x**n for n in range(count)), (X, np.int32(3)), "right"),
        (lambda x, count: ruled(1.0)(x, int(count)), (X, np.int32(3)), "right"),
        (lambda x, count: ruled(1.1)(x, int(count)), (X, np.int32(3)), "wrong"),
        (of_its_values, (X,), "could not be checked"),
    ],
)
def test_what_must_be_known_while_tracing_is_held(function, args, verdict):
    report = verify.check(function, *args, cases=2)
    assert report.verdict == verdict, report
    held = any("held as they are" in note for note in report.notes)
    assert held == (len(args) == 2)
    assert ("jax.jit" in report.because) == (verdict == "could not be checked")
