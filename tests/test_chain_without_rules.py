"""`Chain.without_rules`: the same numbers from plain primals, which have forward mode too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import nn
from tests.every_layer import everything
from tests.oracles.agreement import assert_trees_close
from verify.running import quickly

NET = purecnn.Chain("net", (nn.flatten(), nn.dense(4), nn.relu(), nn.dense(3)))
KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2, 3)), "float32")
LABELS = jnp.array([0, 1, 2, 1, 0])


def test_the_net_without_rules_has_the_same_numbers_and_forward_mode():
    """jvp, linearize and jacfwd of it against the ruled net's VJP; ReLUs at zero take the rule's slope."""
    net, shape = everything(), (4, 4, 4)
    net = purecnn.Chain("net", (*net.layers[:3], *net.layers[4:]))  # with_backward is no derivative
    plain = net.without_rules()
    params, state = net.init(KEY, shape), net.init_state(shape)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)), "float32")
    how = {"state": state, "train": True, "key": KEY}

    @quickly
    def run(params, x):
        ruled, vjp = jax.vjp(lambda x: net.apply(params, x, **how), x)
        value, pushed = jax.jvp(lambda x: plain.apply(params, x, **how), (x,), (jnp.cos(x),))
        linear = jax.linearize(lambda x: plain.apply(params, x, **how), x)[1](jnp.cos(x))
        jacobian = jax.jacfwd(lambda b: plain.apply([*params[:-1], {**params[-1], "b": b}], x, **how))(params[-1]["b"])
        y_bar = jnp.sin(ruled)
        return (value, (pushed * y_bar).sum(), (linear * y_bar).sum(), jacobian), (
            ruled,
            *[(vjp(y_bar)[0] * jnp.cos(x)).sum()] * 2,
            jnp.broadcast_to(jnp.eye(3), (2, 3, 3)),
        )

    assert_trees_close(*run(params, x), 1e-5)
    assert plain.without_rules() == plain


def test_hessians_forward_over_reverse_without_rules_are_those_of_the_rules():
    def loss(net, params):
        return purecnn.softmax_cross_entropy.primal(net.apply(params, X), LABELS).mean()

    @quickly
    def both(params):
        v = jax.tree.map(jnp.cos, params)
        forward = jax.jvp(jax.grad(lambda p: loss(NET.without_rules(), p)), (params,), (v,))[1]
        by_rules = jax.grad(lambda p: purecnn.softmax_cross_entropy(NET.apply(p, X), LABELS).mean())
        return forward, jax.vjp(by_rules, params)[1](v)[0]

    assert_trees_close(*both(NET.init(KEY, (2, 3))), 1e-5)


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0])
def test_without_rules_a_relu_has_the_rules_slope_at_zero(slope):
    """Every bias of zero on a black image is there."""
    net = purecnn.Chain("net", (nn.relu(slope_at_zero=slope),))
    x = jnp.array([[-1.0, 0.0, -0.0, 2.0]])
    y, tangent = jax.jvp(lambda x: net.without_rules().apply([{}], x), (x,), (jnp.ones_like(x),))
    assert y.tolist() == [[0, 0, 0, 2]]
    assert tangent.tolist() == [[0, slope, slope, 1]]


def test_backprop_of_a_net_without_rules_is_autodiff_layer_by_layer():
    params = NET.init(KEY, (2, 3))
    got = quickly(lambda params: purecnn.backprop(NET.without_rules(), params, X, LABELS))(params)
    assert_trees_close(got, quickly(lambda params: purecnn.backprop(NET, params, X, LABELS))(params), 1e-6)
