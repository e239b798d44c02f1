import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import nn
from tests.oracles.agreement import assert_trees_close
from verify.running import quickly

NET = purecnn.Chain("net", (nn.flatten(), nn.dense(4), nn.relu(), nn.dense(3)))
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def params():
    return NET.init(KEY, (2, 3))


X = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2, 3)), "float32")
LABELS = jnp.array([0, 1, 2, 1, 0])


def test_one_dict_of_parameters_a_layer(params):
    shapes = [jax.tree.map(jnp.shape, p) for p in params]
    assert shapes == [{}, {"w": (6, 4), "b": (4,)}, {}, {"w": (4, 3), "b": (3,)}]


def test_init_depends_on_the_key_and_on_the_layers_place(params):
    again, other = NET.init(KEY, (2, 3)), NET.init(jax.random.key(1), (2, 3))
    assert (again[1]["w"] == params[1]["w"]).all()
    assert (other[1]["w"] != params[1]["w"]).any()
    twice = purecnn.Chain("twice", (nn.dense(4), nn.dense(4)))
    first, second = jax.jit(lambda: twice.init(KEY, (4,)))()
    assert (first["w"] != second["w"]).any()


def test_apply_is_one_layer_after_the_other(params):
    hidden = purecnn.relu(purecnn.dense(purecnn.flatten(X), params[1]["w"], params[1]["b"]))
    expected = purecnn.dense(hidden, params[3]["w"], params[3]["b"])
    assert (NET.apply(params, X) == expected).all()
    assert (NET.forward(params, X)[0] == expected).all()


def test_shapes_in_front_of_every_layer_and_behind_the_last():
    assert NET.shapes((2, 3)) == [(2, 3), (6,), (4,), (4,), (3,)]


def test_parameters_have_the_dtype_asked_for():
    params = jax.eval_shape(lambda: NET.init(KEY, (2, 3), jnp.bfloat16))
    assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}


def test_backward_gives_the_inputs_cotangent_too(params):
    @quickly
    def both(x):
        y, _, residuals = NET.forward(params, x)
        y_out, vjp = jax.vjp(lambda x: NET.apply(params, x), x)
        return NET.backward(residuals, jnp.ones_like(y))[0], vjp(jnp.ones_like(y_out))[0]

    assert_trees_close(*both(X), 1e-6)


def test_backprop_is_the_gradient_of_the_mean_loss(params):
    def loss(params):
        return purecnn.softmax_cross_entropy(NET.apply(params, X), LABELS).mean()

    got = quickly(lambda params: purecnn.backprop(NET, params, X, LABELS))(params)
    assert_trees_close(got, quickly(jax.value_and_grad(loss))(params), 1e-6)
    assert jax.tree.structure(got[1]) == jax.tree.structure(params)


def test_backprop_differentiates_nothing(params, monkeypatch):
    """With JAX's autodiff removed, the two lists still run."""

    def refuse(*args, **kwargs):
        raise AssertionError("autodiff")

    for name in ("grad", "value_and_grad", "vjp", "jvp", "linearize", "linear_transpose"):
        monkeypatch.setattr(jax, name, refuse)
    loss, grads = purecnn.backprop(NET, params, X, LABELS)
    assert np.isfinite(loss)
    assert len(grads) == 4


def test_backprop_with_another_loss(params):
    target = jnp.ones((5, 3))
    pair = (purecnn.squared_error_fwd, purecnn.squared_error_bwd)
    got = purecnn.backprop(NET, params, X, target, loss=pair)
    expected = jax.value_and_grad(lambda p: purecnn.squared_error(NET.apply(p, X), target).mean())(params)
    assert_trees_close(got, expected, 1e-6)


def test_vmap_of_backprop_over_nets_is_an_ensemble(params):
    nets = jax.tree.map(lambda p: jnp.stack([p, 2 * p]), params)

    @quickly
    def both(nets):
        def one(params):
            return purecnn.backprop(NET, params, X, LABELS)

        alone = [one(jax.tree.map(lambda p, i=i: p[i], nets)) for i in (0, 1)]
        return jax.vmap(one)(nets), jax.tree.map(lambda *a: jnp.stack(a), *alone)

    assert_trees_close(*both(nets), 1e-6)


def test_an_empty_chain_is_the_identity():
    empty = purecnn.Chain("empty", ())
    assert (empty.apply([], X) == X).all()
    x_bar, params_bar = empty.backward([], X)
    assert (x_bar is X, params_bar) == (True, [])


def test_a_profile_names_every_layer_by_its_place():
    net = purecnn.models.lenet(10)
    params, x = net.init(jax.random.key(0), (8, 8, 1)), jnp.ones((2, 8, 8, 1))

    def loss(params):
        return purecnn.softmax_cross_entropy(net.apply(params, x), jnp.array([0, 1])).mean()

    by_hand = jax.jit(lambda p: purecnn.backprop(net, p, x, jnp.array([0, 1])))
    texts = [step.lower(params).as_text(debug_info=True) for step in (by_hand, jax.jit(jax.grad(loss)))]
    texts = [re.sub(r"jit\(_(primal|forward|backward)\)/", "", text) for text in texts]  # JAX 0.12 has them too
    for i, layer in enumerate(net.layers):
        assert f"/lenet/{i}_{layer.name}/{layer.name}_fwd/" in texts[0]
        assert (f"/lenet/{i}_{layer.name}/{layer.name}_bwd/" in texts[0]) != (i in (1, 4))  # whose masks the pools have
        assert f"(jvp(lenet/{i}_{layer.name}))/{layer.name}_bwd/" in texts[1]
    assert "/lenet/3_conv2d/conv2d_bwd/w_bar/" in texts[0]


def test_a_layer_without_a_pair_runs_forward_and_says_in_the_lists_what_to_write():
    """In `apply` JAX differentiates it, or uses the rule that it has."""
    layer = purecnn.chain.Layer("mine", lambda params, state, x, train, key: (2 * x, state))
    net = purecnn.Chain("net", (nn.relu(), layer))
    assert (net.apply([{}, {}], jnp.ones((1, 2))) == 2).all()
    message = r"net: layer 1 \(mine\), fed samples of shape \(2,\): fwd, bwd: got none, expected a rule's pair: nn.from"
    with pytest.raises(TypeError, match=message):
        net.forward([{}, {}], jnp.ones((1, 2)))
    with pytest.raises(TypeError, match=r"net: layer 1 \(mine\), sent cotangents of shape \(2,\): bwd: got none"):
        net.backward([(jnp.ones((1, 2)),), ()], jnp.ones((1, 2)))


def test_half_a_pair_is_refused_when_the_layer_is_made():
    layer = nn.relu()
    with pytest.raises(TypeError, match="mine: bwd: got none, expected a rule's pair"):
        purecnn.chain.Layer("mine", layer.apply, layer.fwd)


@pytest.mark.usefixtures("users_errors")
@pytest.mark.parametrize("name", ["apply", "fwd", "bwd"])
def test_a_layer_is_made_of_functions(name):
    with pytest.raises(TypeError, match=f"^relu: {name}: got NoneType, expected a function"):
        dataclasses.replace(nn.relu(), **{name: None})


def test_an_apply_that_forgets_the_state_is_named_before_the_layer_behind_it():
    layer = purecnn.chain.Layer("mine", lambda params, state, x, train, key: jnp.stack([x, x]))
    net = purecnn.Chain("net", (layer, nn.dense(3)))
    with pytest.raises(TypeError, match=r"net: layer 0 \(mine\).* apply: got .*, expected a tuple \(y, state\)"):
        net.shapes((4,))


def test_a_pullback_leaves_one_jit_and_enters_another(params):
    """The residuals of `nn.function` are a pytree of arrays like any others."""
    net = purecnn.Chain("net", (nn.flatten(), nn.function(jnp.tanh)))
    y, _, residuals = jax.jit(lambda x: net.forward([{}, {}], x))(X)
    x_bar, _ = jax.jit(net.backward)(residuals, jnp.ones_like(y))
    np.testing.assert_allclose(x_bar, 1 - np.tanh(X) ** 2, rtol=1e-5)
