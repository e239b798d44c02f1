"""`net.without_rules()` of every model: forward mode goes through, and of the smallest ones the numbers are compared."""

import jax
import jax.numpy as jnp
import pytest

import purecnn
from purecnn import models
from tests.models.test_models import KEY, images, made
from tests.oracles.roads import assert_trees_close, quick_jit

NETS = [
    (models.mlp(), (5,)),
    (models.lenet(), (8, 8, 1)),
    (models.cifar_cnn(), (32, 32, 3)),
    (models.alexnet(grouped=True), (67, 67, 3)),
    (models.alexnet_one_tower(), (67, 67, 3)),
    (models.vgg11(), (32, 32, 3)),
    (models.vgg16_bn(), (32, 32, 3)),
    (models.resnet_cifar(), (8, 8, 3)),
    (models.resnet18(), (32, 32, 3)),
    (models.resnet50(), (32, 32, 3)),
    (models.mobilenet_v2(), (32, 32, 3)),
    (models.convnext_tiny(), (32, 32, 3)),
]


@pytest.mark.parametrize(("net", "shape"), NETS, ids=[net.name for net, _ in NETS])
def test_forward_mode_goes_through_every_model(net, shape):
    """Traced, not compiled: a rule that is left raises, as it does in the net with its rules."""
    params, state = jax.eval_shape(lambda: (net.init(KEY, shape), net.init_state(shape)))
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)

    def push(net, params, state, x):
        return jax.jvp(lambda p: net.apply(p, x, state=state, train=True, key=jax.random.key(0)), (params,), (params,))

    y, tangent = jax.eval_shape(lambda *args: push(net.without_rules(), *args), params, state, x)
    assert y.shape == tangent.shape
    with pytest.raises(TypeError, match="jvp"):
        jax.eval_shape(lambda *args: push(net, *args), params, state, x)


@pytest.mark.parametrize(
    ("net", "shape"),
    [(models.lenet(), (8, 8, 1)), (models.resnet_cifar(blocks_per_stage=1, features=(4, 8)), (8, 8, 3))],
    ids=["lenet", "resnet_cifar"],
)
def test_a_hessian_vector_product_is_that_of_the_rules(net, shape):
    """Forward over reverse without rules, reverse over reverse with them; and the value and the gradient."""
    params, state, x, labels = made(net, shape), net.init_state(shape), images(shape), jnp.array([1, 2])

    def gradient(net, loss):
        return jax.value_and_grad(lambda p: loss(net.apply(p, x, state=state, train=True), labels).mean())

    @quick_jit
    def both(params):
        v = jax.tree.map(jnp.cos, params)
        plain = gradient(net.without_rules(), purecnn.softmax_cross_entropy.primal)
        (value, slopes), (_, product) = jax.jvp(plain, (params,), (v,))
        (value_by_rules, slopes_by_rules), vjp = jax.vjp(gradient(net, purecnn.softmax_cross_entropy), params)
        by_rules = vjp((jnp.zeros(()), v))[0]
        return (value, slopes, product), (value_by_rules, slopes_by_rules, by_rules)

    assert_trees_close(*both(params), 1e-4)
