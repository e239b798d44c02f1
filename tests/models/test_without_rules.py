"""`net.without_rules()` of every model: forward mode goes through; of the smallest one the numbers are compared."""

import jax
import jax.numpy as jnp
import pytest

import purecnn
from purecnn import models
from tests.models.test_models import KEY, images, made
from tests.oracles.agreement import assert_trees_close
from tests.sampling import one_in
from verify.running import quickly

NETS = [
    (models.mlp(), (5,)),
    (models.lenet(), (8, 8, 1)),
    (models.cifar_cnn(), (32, 32, 3)),
    (models.alexnet(grouped=True), (67, 67, 3)),
    (models.alexnet_one_tower(), (67, 67, 3)),
    (models.vgg11_bn(), (32, 32, 3)),
    (models.resnet_cifar(), (8, 8, 3)),
    (models.resnet18(), (32, 32, 3)),
    (models.mobilenet_v2(), (32, 32, 3)),
    (models.convnext_tiny(), (32, 32, 3)),
]


def primitives(jaxpr):
    """The names of all in it and in what it calls."""
    for eqn in jaxpr.eqns:
        yield eqn.primitive.name
        for value in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            yield from primitives(inner) if hasattr(inner, "eqns") else ()


def custom_calls(net, shape):
    """Backward rules that are left in the pushforward, traced and not compiled: JAX refuses to compile them.

    A `custom_jvp` is none of ours: since 0.12 JAX's own erfc has one.
    """
    params, state = jax.eval_shape(lambda: (net.init(KEY, shape), net.init_state(shape)))

    def push(params, state, x):
        key = jax.random.key(0)
        return jax.jvp(lambda p: net.apply(p, x, state=state, train=True, key=key), (params,), (params,))

    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    names = set(primitives(jax.make_jaxpr(push)(params, state, x).jaxpr)) - {"custom_jvp_call"}
    return {name for name in names if "custom" in name}


@pytest.mark.parametrize("pair", one_in(2, NETS), ids=lambda pair: pair[0].name)
def test_forward_mode_goes_through_every_model(pair):
    net, shape = pair
    assert not custom_calls(net.without_rules(), shape)


def test_with_rules_it_does_not():
    assert custom_calls(*NETS[0])


@pytest.mark.slow
def test_a_hessian_vector_product_is_that_of_the_rules():
    """Forward over reverse without rules, reverse over reverse with them; and the value and the gradient."""
    net, shape = models.resnet_cifar(features=(4,)), (6, 6, 3)
    params, state, x, labels = made(net, shape), net.init_state(shape), images(shape), jnp.array([1, 2])

    def gradient(net, loss):
        return jax.value_and_grad(lambda p: loss(net.apply(p, x, state=state, train=True), labels).mean())

    @quickly
    def both(params):
        v = jax.tree.map(jnp.cos, params)
        plain = gradient(net.without_rules(), purecnn.softmax_cross_entropy.primal)
        (value, slopes), (_, product) = jax.jvp(plain, (params,), (v,))
        (value_by_rules, slopes_by_rules), vjp = jax.vjp(gradient(net, purecnn.softmax_cross_entropy), params)
        by_rules = vjp((jnp.zeros(()), v))[0]
        return (value, slopes, product), (value_by_rules, slopes_by_rules, by_rules)

    assert_trees_close(*both(params), 1e-5)
