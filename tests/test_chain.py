import pickle
import re

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import nn
from tests.oracles.agreement import assert_trees_close, quick_jit

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
    @quick_jit
    def both(x):
        y, _, residuals = NET.forward(params, x)
        y_out, vjp = jax.vjp(lambda x: NET.apply(params, x), x)
        return NET.backward(residuals, jnp.ones_like(y))[0], vjp(jnp.ones_like(y_out))[0]

    assert_trees_close(*both(X), 1e-6)


def test_backprop_is_the_gradient_of_the_mean_loss(params):
    def loss(params):
        return purecnn.softmax_cross_entropy(NET.apply(params, X), LABELS).mean()

    got = quick_jit(lambda params: purecnn.backprop(NET, params, X, LABELS))(params)
    assert_trees_close(got, quick_jit(jax.value_and_grad(loss))(params), 1e-6)
    assert jax.tree.structure(got[1]) == jax.tree.structure(params)


def test_backprop_differentiates_nothing(params, monkeypatch):
    """With JAX's autodiff out of reach the lists still run."""

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

    @quick_jit
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
        assert f"/lenet/{i}_{layer.name}/{layer.name}_bwd/" in texts[0]
        assert f"(jvp(lenet/{i}_{layer.name}))/{layer.name}_bwd/" in texts[1]
    assert "/lenet/3_conv2d/conv2d_bwd/w_bar/" in texts[0]


def everything():
    """A net of every kind of layer."""
    body = (nn.conv2d(4, 3, padding=[[1, 1], [1, 1]], bias=False), nn.batch_norm(), nn.relu(slope_at_zero=0.5))
    return purecnn.Chain(
        "everything",
        (
            nn.residual(*body),
            nn.branches((nn.conv2d(2, 1),), purecnn.Chain("way", (nn.max_pool2d(3, stride=1, padding="SAME"),))),
            nn.function(cubed),
            purecnn.with_backward(nn.sigmoid(), doubled),
            nn.dropout(0.25),
            nn.flatten(),
            nn.dense(3),
        ),
    )


def cubed(x):
    return x**3


def doubled(residuals, y_bar, train):
    x_bar, params_bar = nn.sigmoid().bwd(residuals, y_bar, train)
    return 2 * x_bar, params_bar


def test_chains_made_alike_are_equal_and_hash_alike():
    assert everything() == everything()
    assert hash(everything()) == hash(everything())
    assert nn.conv2d(4, 3) == nn.conv2d(4, (3, 3))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nn.conv2d(4, 3), nn.conv2d(5, 3)),
        (nn.conv2d(4, 3), nn.conv2d(4, 3, init_w=purecnn.initializers.zeros)),
        (nn.conv2d(4, 3), nn.conv2d(4, 3, stride=2)),
        (nn.dropout(0.5), nn.dropout(0.25)),
        (nn.batch_norm(), nn.batch_norm(momentum=0.5)),
        (nn.residual(nn.relu()), nn.residual(nn.sigmoid())),
        (nn.residual(nn.relu()), nn.branches((nn.relu(),), ())),
        (nn.sigmoid(), purecnn.with_backward(nn.sigmoid(), doubled)),
        (nn.relu(), purecnn.Chain("net", (nn.relu(),)).without_rules().layers[0]),
    ],
)
def test_what_computes_something_else_is_unequal(one, other):
    assert one != other


def test_a_chain_pickles():
    net = pickle.loads(pickle.dumps(everything()))
    assert net == everything()
    params, state = net.init(KEY, (4, 4, 4)), net.init_state((4, 4, 4))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 4)), "float32")
    y = everything().apply(params, x, state=state, train=True, key=KEY)
    assert (net.apply(params, x, state=state, train=True, key=KEY) == y).all()


def test_two_equinox_modules_with_a_chain_each_go_through_tree_map():
    """In a static field, which is compared where two trees are mapped together."""

    class Model(equinox.Module):
        net: purecnn.Chain = equinox.field(static=True)
        weight: jax.Array

    both = jax.tree.map(jnp.add, Model(everything(), jnp.ones(2)), Model(everything(), jnp.ones(2)))
    assert both.weight.tolist() == [2, 2]


def test_jit_takes_equal_chains_for_one():
    traced = []

    def apply(net, params):
        traced.append(net)
        return net.apply(params, X)

    compiled = jax.jit(apply, static_argnums=0)
    for _ in range(2):
        net = purecnn.Chain("net", (nn.flatten(), nn.dense(4)))
        compiled(net, net.init(KEY, (2, 3)))
    assert len(traced) == 1


def test_a_layer_without_a_pair_runs_forward_and_says_in_the_lists_what_to_write():
    """In `apply` JAX differentiates it, or what rule it has."""
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


def test_the_net_without_rules_has_the_same_numbers_and_forward_mode():
    """jvp, linearize and jacfwd of it against the ruled net's VJP; ReLUs at zero take the rule's slope."""
    net, shape = everything(), (4, 4, 4)
    net = purecnn.Chain("net", (*net.layers[:3], *net.layers[4:]))  # with_backward is no derivative
    plain = net.without_rules()
    params, state = net.init(KEY, shape), net.init_state(shape)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *shape)), "float32")
    how = {"state": state, "train": True, "key": KEY}

    @quick_jit
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

    @quick_jit
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


def test_backprop_of_a_net_without_rules_is_autodiff_layer_by_layer(params):
    got = quick_jit(lambda params: purecnn.backprop(NET.without_rules(), params, X, LABELS))(params)
    assert_trees_close(got, quick_jit(lambda params: purecnn.backprop(NET, params, X, LABELS))(params), 1e-6)


def test_a_pullback_leaves_one_jit_and_enters_another(params):
    """What `nn.function` keeps is a pytree of arrays like any other residuals."""
    net = purecnn.Chain("net", (nn.flatten(), nn.function(jnp.tanh)))
    y, _, residuals = jax.jit(lambda x: net.forward([{}, {}], x))(X)
    x_bar, _ = jax.jit(net.backward)(residuals, jnp.ones_like(y))
    np.testing.assert_allclose(x_bar, 1 - np.tanh(X) ** 2, rtol=1e-5)
