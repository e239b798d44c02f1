"""`backprop` on every model: the gradient that JAX finds through the joined rules, and without any rule of ours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import nn
from purecnn.models import (
    alexnet,
    alexnet_one_tower,
    cifar_cnn,
    convnext_tiny,
    lenet,
    mlp,
    mobilenet_v2,
    resnet18,
    resnet50,
    resnet_cifar,
)
from tests.oracles.agreement import assert_trees_close
from tests.sampling import one_in
from verify.running import quickly

KEY = jax.random.key(0)
SQUARES = (purecnn.squared_error_fwd, purecnn.squared_error_bwd)


def images(shape, samples=2, dtype="float32"):
    return jnp.asarray(np.random.default_rng(0).normal(size=(samples, *shape)), dtype)


def by_autodiff(net, params, x, labels, loss=purecnn.softmax_cross_entropy, **how):
    return jax.value_and_grad(lambda params: loss(net.apply(params, x, **how), labels).mean())(params)


def made(net, shape, dtype=jnp.float32):
    """Parameters from NumPy: the same distribution as `init`, without its compile time."""
    rng = np.random.default_rng(1)

    def draw(leaf):
        scale = np.sqrt(2 / max(np.prod(leaf.shape[:-1]), 1)) if len(leaf.shape) > 1 else 0.1
        return jnp.asarray(rng.standard_normal(leaf.shape, np.float32) * np.float32(scale), dtype)

    return jax.tree.map(draw, jax.eval_shape(lambda: net.init(KEY, shape)))


def assert_same_gradient(net, params, x, labels, **how):
    """Loss and every gradient, to 1e-6 of its largest entry, in float32."""

    @quickly
    def both(params):
        return purecnn.backprop(net, params, x, labels, **how), by_autodiff(net, params, x, labels, **how)

    assert_trees_close(*both(params), 1e-6)


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (lenet(), (28, 28, 1)),
        (lenet(second_padding="VALID"), (28, 28, 1)),
        (lenet(), (8, 8, 1)),
        (cifar_cnn(features=(4, 6), hidden=8), (32, 32, 3)),
    ],
    ids=["lenet 28×28", "lenet as in 1998", "lenet 8×8", "cifar_cnn"],
)
def test_backprop_is_jax_grad(net, shape):
    params, x, labels = made(net, shape), images(shape), jnp.array([3, 7])
    assert_same_gradient(net, params, x, labels)


@pytest.mark.parametrize("grouped", one_in(2, [True, False]), ids=["grouped", "single stream"])
def test_backprop_is_jax_grad_on_alexnet(grouped):
    """In training, so that both dropouts draw their masks."""
    net, shape = alexnet(10, grouped=grouped), (64, 64, 3)
    params, x, labels = made(net, shape), images(shape, 1), jnp.array([3])
    how = {"train": True, "key": KEY}
    assert_same_gradient(net, params, x, labels, **how)


@pytest.mark.parametrize("train", [True, False], ids=["training", "inference"])
def test_backprop_is_jax_grad_on_resnet(train):
    net, shape = resnet_cifar(features=(4, 6)), (8, 8, 3)
    params, x, labels = made(net, shape), images(shape), jnp.array([3, 7])
    how = {"train": train, "state": net.init_state(shape)}
    assert_same_gradient(net, params, x, labels, **how)


def around(*layers, name):
    """The average over the image behind them, and a dense layer."""
    return purecnn.Chain(name, (*layers, nn.global_avg_pool(), nn.dense(10)))


def first_residual(net):
    return next(layer for layer in net.layers if layer.name == "residual")


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (resnet18(10, width=2), (16, 16, 3)),
        (around(*resnet50(width=2).layers[:6], name="resnet50"), (16, 16, 3)),
        (around(nn.conv2d(24, 3), first_residual(mobilenet_v2()), name="mobilenet_v2"), (8, 8, 3)),
        pytest.param(
            around(*convnext_tiny(layer_scale=0.5, drop_path=0.9).layers[:4], name="convnext_tiny"),
            (8, 8, 3),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_backprop_is_jax_grad_on_torchvisions_nets(net, shape):
    """In training, dropout and drop path included; of the last three, a block that they are made of."""
    params, x, labels = made(net, shape), images(shape, 4), jnp.array([3, 7, 1, 0])
    assert_same_gradient(net, params, x, labels, train=True, key=KEY, state=net.init_state(shape))


def test_backprop_is_jax_grad_on_the_lectures_net():
    """Row 2: L = Σ(ŷ − y)² behind f₂ = σ(w₂ σ(w₁ x))."""
    net = mlp(3, hidden=(5,))
    params, x, target = made(net, (6,)), images((6,), 4), jnp.eye(4, 3)
    got = quickly(lambda p: purecnn.backprop(net, p, x, target, loss=SQUARES))(params)
    expected = quickly(lambda p: by_autodiff(net, p, x, target, purecnn.squared_error))(params)
    assert_trees_close(got, expected, 1e-6)


@pytest.mark.parametrize(
    ("net", "shape", "how"),
    [
        (lenet(), (8, 8, 1), {}),
        (cifar_cnn(features=(3, 4), hidden=6), (8, 8, 3), {}),
        pytest.param(resnet_cifar(features=(3, 4)), (6, 6, 2), {"train": True}, marks=pytest.mark.slow),
    ],
    ids=["lenet", "cifar_cnn", "resnet_cifar"],
)
def test_backprop_is_autodiff_of_the_net_without_our_rules(net, shape, how, x64):
    """In float64, against the same nets of bare primals."""
    bare_net = net.without_rules()
    params, x, labels = made(net, shape, jnp.float64), images(shape, dtype="float64"), jnp.array([3, 7])
    how = {**how, "state": net.init_state(shape, jnp.float64)}
    bare_loss = purecnn.softmax_cross_entropy.__wrapped__
    expected = quickly(lambda p: by_autodiff(bare_net, p, x, labels, bare_loss, **how))(params)
    got = quickly(lambda p: purecnn.backprop(net, p, x, labels, **how))(params)
    assert_trees_close(got, expected, 1e-12)


def test_per_sample_gradients_are_those_of_a_loop():
    """vmap(grad) over the samples, for all parameters of a net with every kind of layer."""
    net, shape = lenet(3), (4, 4, 1)
    params, x, labels = made(net, shape), images(shape, 3), jnp.array([0, 2, 1])

    @quickly
    def both(params):
        def loss(params, x, label):
            return purecnn.softmax_cross_entropy(net.apply(params, x[None]), label[None])[0]

        together = jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(params, x, labels)
        alone = [purecnn.backprop(net, params, x[i : i + 1], labels[i : i + 1])[1] for i in range(3)]
        return together, jax.tree.map(lambda *g: jnp.stack(g), *alone)

    assert_trees_close(*both(params), 1e-5)


def test_a_training_step_of_resnet_moves_its_statistics():
    net, shape = resnet_cifar(features=(2,)), (4, 4, 1)
    params, state = made(net, shape), net.init_state(shape)
    y, after = quickly(lambda p, s, x: net.apply_with_state(p, x, state=s, train=True))(params, state, images(shape))
    assert y.shape == (2, 10)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    moved = [bool((a != b).any()) for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True)]
    assert all(moved)


@pytest.mark.parametrize(
    ("net", "shape", "layers"),
    [
        (lenet(), (28, 28, 1), 5),
        (lenet(5), (8, 8, 3), 5),
        (alexnet(), (224, 224, 3), 8),
        (alexnet(grouped=False, input_padding=0), (227, 227, 3), 8),
        (alexnet_one_tower(), (224, 224, 3), 8),
        (cifar_cnn(100), (32, 32, 3), 6),
        (resnet_cifar(), (32, 32, 3), 8 + 2),  # two of the shortcuts have a convolution
        (resnet_cifar(blocks_per_stage=3), (32, 32, 3), 20 + 2),
        (resnet18(7, width=2), (32, 32, 3), 18 + 3),
        (resnet50(7, width=2), (32, 32, 3), 50 + 4),
        (mlp(), (8, 8, 1), 2),
        (mlp(3, hidden=(4, 5), bias=True), (6,), 3),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_weighted_layers_and_outputs(net, shape, layers):
    params = jax.eval_shape(lambda: net.init(KEY, shape))
    kernels = [p for p in jax.tree.leaves(params) if len(p.shape) > 1]
    assert len(kernels) == layers
    assert net.shapes(shape)[-1] == kernels[-1].shape[-1:]


def test_alexnet_is_grouped_as_drawn():
    """Kernels of conv2, conv4 and conv5 see the channels of one half: 48, 192 and 192."""
    params = jax.eval_shape(lambda: alexnet().init(KEY, (224, 224, 3)))
    assert [p["w"].shape for p in params if "w" in p][:5] == [
        (11, 11, 3, 96),
        (5, 5, 48, 256),
        (3, 3, 256, 384),
        (3, 3, 192, 384),
        (3, 3, 192, 256),
    ]
