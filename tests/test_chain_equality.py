"""Chains as values: equal where they compute the same, hashed, pickled, in the static fields of other libraries."""

import pickle

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import nn
from tests.every_layer import doubled, everything

KEY = jax.random.key(0)


def test_chains_made_alike_are_equal_and_hash_alike():
    assert everything() == everything()
    assert hash(everything()) == hash(everything())
    assert nn.conv2d(4, 3) == nn.conv2d(4, (3, 3))


def test_any_sequence_of_layers_makes_the_chain():
    layers = [nn.conv2d(4, 3), nn.relu()]
    assert purecnn.Chain("net", layers) == purecnn.Chain("net", tuple(layers))
    assert hash(purecnn.Chain("net", layers)) == hash(purecnn.Chain("net", tuple(layers)))


def test_a_chain_prints_its_layers_with_their_indices():
    body = (nn.conv2d(4, 3, stride=2), nn.relu())
    net = purecnn.Chain("net", (nn.residual(*body, shortcut=nn.avg_pool2d(3)), nn.flatten()))
    assert repr(net).splitlines() == [
        "Chain net",
        "   0 residual(body: [conv2d(groups=1, stride=2), relu()], shortcut: [avg_pool2d(window=3)])",
        "   1 flatten()",
    ]


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
        return net.apply(params, jnp.ones((5, 2, 3)))

    compiled = jax.jit(apply, static_argnums=0)
    for _ in range(2):
        net = purecnn.Chain("net", (nn.flatten(), nn.dense(4)))
        compiled(net, net.init(KEY, (2, 3)))
    assert len(traced) == 1
