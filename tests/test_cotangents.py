"""What a layer's own backward rule returns: the wrong shape, or too little, is an error that names the layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import nn
from purecnn.chain import Layer
from purecnn.rules import rule
from tests.own_rule import product

pytestmark = pytest.mark.usefixtures("users_errors")

X, LABELS = jnp.ones((3, 4)), jnp.array([0, 1, 1])


def scale(bwd=None):
    """y = s x with one s a feature, and with this function of (right x_bar, right s_bar) for its backward rule."""

    def right_or(residuals, y_bar, train):
        x, s = residuals
        right = s[None] * y_bar, {"s": (x * y_bar).sum(axis=0)}
        return right if bwd is None else bwd(*right)

    def apply(params, state, x, train, key):
        return params["s"][None] * x, state

    def fwd(params, state, x, train, key):
        return params["s"][None] * x, state, (x, params["s"])

    return Layer("scale", apply, fwd, right_or, lambda key, shape, dtype: {"s": jnp.full(shape, 2.0, dtype)})


def chain(layer):
    return purecnn.Chain("net", (nn.dense(5), layer, nn.dense(2)))


def backprop(net):
    return purecnn.backprop(net, net.init(jax.random.key(0), (4,)), X, LABELS)


WRONG = {
    "rows left out": (lambda x_bar, bars: (x_bar[:2], bars), "x_bar: got shape (2, 5), expected (3, 5), that of x"),
    "one row": (lambda x_bar, bars: (x_bar[:1], bars), "x_bar: got shape (1, 5), expected (3, 5), that of x"),
    "summed": (lambda x_bar, bars: (x_bar.sum(axis=0), bars), "x_bar: got shape (5,), expected (3, 5), that of x"),
    "a number": (lambda x_bar, bars: (0.0, bars), "x_bar: got shape (), expected (3, 5), that of x"),
    "no sum": (lambda x_bar, bars: (x_bar, {"s": x_bar}), "params_bar: s: got shape (3, 5), expected (5,)"),
    "omitted": (lambda x_bar, bars: (x_bar, {}), "params_bar: got none, expected s, as the layer's parameters"),
    "misnamed": (lambda x_bar, bars: (x_bar, {"w": bars["s"]}), "params_bar: got w, expected s, as the layer's"),
    "too many": (lambda x_bar, bars: (x_bar, bars | {"b": x_bar}), "params_bar: got b, s, expected s, as the"),
    "no dict": (lambda x_bar, bars: (x_bar, bars["s"]), "params_bar: got an array, expected s, as the layer's"),
}


@pytest.mark.parametrize(("bwd", "message"), WRONG.values(), ids=WRONG)
def test_cotangents_unlike_what_the_layer_was_given(bwd, message):
    net = chain(scale(bwd))
    for call in (backprop, lambda net: jax.jit(lambda: backprop(net))()):
        with pytest.raises(ValueError, match=r"^net: layer 1 \(scale\), sent cotangents of shape \(5,\): bwd: ") as e:
            call(net)
        assert message in str(e.value)


def test_a_cotangent_of_another_dtype_is_refused_where_it_arises():
    net = chain(scale(lambda x_bar, bars: (x_bar.astype(jnp.bfloat16), bars)))
    with pytest.raises(
        TypeError, match=r"^net: layer 1 \(scale\), .*: x_bar: got bfloat16, expected float32, the dtype"
    ):
        backprop(net)


def test_a_layer_of_a_block_is_named_too():
    net = chain(nn.residual(nn.relu(), scale(WRONG["omitted"][0])))
    with pytest.raises(
        ValueError, match=r"^net: layer 1 \(residual\), .*body: layer 1 \(scale\), .*got none, expected s"
    ):
        backprop(net)


def test_right_cotangents_and_none_for_zeros_are_those_of_autodiff():
    net = chain(scale())
    params = net.init(jax.random.key(0), (4,))

    def loss(params, net=net):
        return purecnn.softmax_cross_entropy(net.apply(params, X), LABELS).mean()

    _, grads = backprop(net)
    jax.tree.map(
        lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6), grads, jax.grad(loss)(params)
    )

    still = chain(scale(lambda x_bar, bars: (None, {"s": None})))
    _, grads = backprop(still)
    assert jax.tree.structure(grads) == jax.tree.structure(params)
    for i, is_zero in enumerate((True, True, False)):
        assert all((leaf == 0).all() == is_zero for leaf in jax.tree.leaves(grads[i]))


def test_a_rule_that_has_no_gradient_by_a_parameter_is_a_layer_like_any_other():
    """None is 0, as JAX has it in a custom_vjp."""

    @rule
    def times(x, s):
        return x * s[None]

    @times.def_fwd
    def times_fwd(x, s):
        return x * s[None], (s,)

    @times.def_bwd
    def times_bwd(residuals, y_bar):
        return y_bar * residuals[0][None], None

    net = chain(nn.from_rule(times, init=lambda key, shape, dtype: {"s": jnp.ones(shape, dtype)}, names=("s",)))
    params = net.init(jax.random.key(0), (4,))
    _, by_hand = backprop(net)
    by_jax = jax.grad(lambda p: purecnn.softmax_cross_entropy(net.apply(p, X), LABELS).mean())(params)
    jax.tree.map(lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6), by_hand, by_jax)
    assert (by_hand[1]["s"] == 0).all()


def test_a_layer_of_a_rule_whose_names_were_forgotten_is_named():
    """`nn.from_rule(rule, init=…)` without names=: its parameters were not trained, and nothing said so."""
    init = lambda key, shape, dtype: {"w": jnp.ones((*shape, 5), dtype)}  # noqa: E731
    net = chain(nn.from_rule(purecnn.dense, init=init))
    with pytest.raises(ValueError, match=r"net: layer 1 \(dense\), .*params_bar: got none, expected w"):
        backprop(net)


def test_residuals_of_a_part_of_the_batch_and_residuals_put_together_by_hand_still_work():
    net = chain(scale())
    params = net.init(jax.random.key(0), (4,))
    y, _, residuals = net.forward(params, X)
    whole, _ = net.backward(residuals, jnp.ones_like(y))
    by_hand, _ = net.backward([(r[0], *r[1:]) for r in residuals], jnp.ones_like(y))
    np.testing.assert_array_equal(by_hand, whole)
    part = [jax.tree.map(lambda a: a[:2] if a.shape[:1] == (3,) else a, r) for r in residuals]
    for some in (part, purecnn.cotangents.ChainResiduals(part, residuals.given)):
        np.testing.assert_allclose(net.backward(some, jnp.ones((2, 2)))[0], whole[:2], rtol=1e-6)


def test_residuals_cross_jit_and_are_mapped_over():
    net = chain(scale())
    params = net.init(jax.random.key(0), (4,))
    y, _, residuals = jax.jit(net.forward)(params, X)
    assert isinstance(residuals, purecnn.cotangents.ChainResiduals)
    assert len(residuals) == 3
    x_bar, bars = jax.jit(net.backward)(residuals, jnp.ones_like(y))
    nets = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)

    def both(params):
        y, _, residuals = net.forward(params, X)
        return net.backward(residuals, jnp.ones_like(y))

    mapped_x_bar, mapped_bars = jax.vmap(both)(nets)
    np.testing.assert_allclose(mapped_x_bar[1], x_bar, rtol=1e-6)
    jax.tree.map(lambda got, want: np.testing.assert_allclose(got[1], want, rtol=1e-5), mapped_bars, bars)


@pytest.mark.parametrize("name", ["summed", "omitted", "no sum"])
def test_a_replaced_backward_rule_is_named_by_jax_grad_as_well(name):
    bwd, message = WRONG[name]

    def wrong(residuals, y_bar, train):
        return bwd(*scale().bwd(residuals, y_bar, train))

    net = chain(purecnn.with_backward(scale(), wrong))
    params = net.init(jax.random.key(0), (4,))
    with pytest.raises(ValueError, match=r"^scale: bwd: ") as caught:
        jax.grad(lambda p: net.apply(p, X).sum())(params)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("bwd", "message"),
    [
        (lambda x, w, y_bar: (y_bar.sum(axis=0), x * y_bar), r"x: got a cotangent of shape \(3,\), expected \(2, 3\)"),
        (lambda x, w, y_bar: (w * y_bar, y_bar[:1]), r"w: got a cotangent of shape \(1, 3\), expected \(2, 3\)"),
    ],
)
def test_a_rule_names_the_argument_whose_cotangent_has_a_wrong_shape(bwd, message):
    mine, x = product(lambda residuals, y_bar: bwd(*residuals, y_bar)), jnp.ones((2, 3))
    for call in (mine, jax.jit(mine), jax.checkpoint(mine)):
        with pytest.raises(ValueError, match=rf"^product: bwd: {message}"):
            jax.grad(lambda x, call=call: call(x, x).sum())(x)
    with pytest.raises(ValueError, match=rf"^product: bwd: {message}"):
        jax.vmap(jax.grad(lambda x, w: mine(x, w).sum()), in_axes=(0, None))(x[None], x)
