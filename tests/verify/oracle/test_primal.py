"""The function without its rule: custom calls replaced by their primals, at any depth."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from verify.oracle import primal


@jax.custom_vjp
def lying(x):
    return jnp.sin(x)


lying.defvjp(lambda x: (jnp.sin(x), None), lambda _, g: (jnp.full_like(g, 7.0),))


@jax.custom_vjp
def outer(x):
    return lying(x) * 2


outer.defvjp(lambda x: (outer(x), None), lambda _, g: (-g,))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def powered(x, n):
    return jnp.sin(x) ** n


powered.defvjp(lambda x, n: (powered(x, n), None), lambda n, _, g: (g * 0,))

# (how the rule is buried, the plain function it stands for)
BURIED = {
    "bare": (lying, jnp.sin),
    "jit": (jax.jit(lying), jnp.sin),
    "nested rules": (outer, lambda x: 2 * jnp.sin(x)),
    "static arguments": (lambda x: powered(x, 3), lambda x: jnp.sin(x) ** 3),
    "scan": (
        lambda x: jax.lax.scan(lambda c, _: (lying(c), c), x, None, length=3)[0],
        lambda x: jnp.sin(jnp.sin(jnp.sin(x))),
    ),
    "cond": (lambda x: jax.lax.cond(x[0] > 0, lying, lambda v: v, x), lambda x: jnp.where(x[0] > 0, jnp.sin(x), x)),
    "remat": (jax.checkpoint(lying), jnp.sin),
    "vmap": (jax.vmap(lying), jnp.sin),
    "map in jit": (jax.jit(lambda x: jax.lax.map(outer, x)), lambda x: 2 * jnp.sin(x)),
    "fori_loop": (lambda x: jax.lax.fori_loop(0, 2, lambda _, v: lying(v), x), lambda x: jnp.sin(jnp.sin(x))),
}


@pytest.mark.parametrize("place", BURIED)
def test_value_and_derivative_are_those_of_the_plain_function(place):
    rule, plain = BURIED[place]
    x = jnp.array([0.3, -1.2, 2.0], jnp.float32)
    free = primal.inlined(lambda x: [rule(x)], primal.VJP_CALLS)
    assert not primal.contains(jax.make_jaxpr(free)(x), primal.VJP_CALLS)
    np.testing.assert_allclose(free(x)[0], plain(x), rtol=1e-6)
    gradient = jax.grad(lambda x: free(x)[0].sum())(x)
    np.testing.assert_allclose(gradient, jax.grad(lambda x: plain(x).sum())(x), rtol=1e-5)
    tangent = jax.jvp(lambda x: free(x)[0], (x,), (jnp.ones_like(x),))[1]  # impossible through the rule itself
    assert np.all(np.isfinite(tangent))


def test_other_custom_calls_stay():
    closed = jax.make_jaxpr(primal.inlined(lambda x: [jax.nn.relu(lying(x))], primal.VJP_CALLS))(1.0)
    assert primal.contains(closed, primal.JVP_CALLS)


def test_a_batching_rule_inside_the_function_hides_it_from_the_oracle_no_more():
    batched = jax.custom_batching.custom_vmap(lambda x: jnp.sin(x))
    batched.def_vmap(lambda size, which, x: (jnp.sin(x), True))
    inside = jax.custom_vjp(lambda x: jax.lax.scan(lambda c, a: (c, batched(a)), 0, x)[1])
    inside.defvjp(lambda x: (inside(x), x), lambda x, g: (g * jnp.cos(x),))
    y, back = jax.vjp(primal.inlined(lambda x: [inside(x)], primal.VJP_CALLS), jnp.ones(3))
    np.testing.assert_allclose(back(y)[0], jnp.sin(1) * jnp.cos(1), rtol=1e-6)
