import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
import verify
from purecnn import nn
from purecnn.chain import Chain


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def guided(residuals, y_bar, **options):
    return purecnn.relu_bwd(residuals, jnp.maximum(y_bar, 0), **options)


def test_a_rule_keeps_its_function_and_takes_the_new_backward_rule():
    relu = purecnn.with_backward(purecnn.relu, guided)
    x, y_bar = jnp.array([-1.0, 2.0, 3.0]), jnp.array([1.0, 1.0, -1.0])
    y, pull = jax.vjp(relu, x)
    np.testing.assert_array_equal(y, [0, 2, 3])
    np.testing.assert_array_equal(pull(y_bar)[0], [0, 1, 0])
    np.testing.assert_array_equal(jax.vjp(purecnn.relu, x)[1](y_bar)[0], [0, 1, -1])  # the old one is as it was


def test_options_and_static_arguments_reach_the_new_rule():
    seen = []

    def halved(residuals, y_bar, rate):
        seen.append(rate)
        x_bar, key_bar = purecnn.dropout_bwd(residuals, y_bar, rate)
        return 0.5 * x_bar, key_bar

    dropout = purecnn.with_backward(purecnn.dropout, halved)
    x, key = normal(4, 5), jax.random.key(3)
    half = jax.grad(lambda x: dropout(x, key, 0.25).sum())(x)
    np.testing.assert_array_equal(half, 0.5 * jax.grad(lambda x: purecnn.dropout(x, key, 0.25).sum())(x))
    assert set(seen) == {0.25}

    doubled = purecnn.with_backward(purecnn.relu, lambda r, y_bar, *, slope_at_zero: (slope_at_zero * y_bar,))
    np.testing.assert_array_equal(jax.grad(lambda x: doubled(x, slope_at_zero=0.25).sum())(x), jnp.full((4, 5), 0.25))


def test_another_forward_rule_may_keep_something_else():
    def fwd(x, *, slope_at_zero=0.0):
        return purecnn.relu(x), jnp.sign(x)

    relu = purecnn.with_backward(purecnn.relu, lambda sign, y_bar, **_: (sign * y_bar,), fwd=fwd)
    np.testing.assert_array_equal(jax.grad(lambda x: relu(x).sum())(jnp.array([-2.0, 0.0, 2.0])), [-1, 0, 1])


def test_what_is_no_derivative_does_not_pass_the_verifier():
    assert not verify.check(purecnn.with_backward(purecnn.relu, guided), normal(3, 4)).ok


def aligned(layer, feedback):
    """Feedback alignment: ȳ goes back through `feedback`, not through w."""

    def bwd(residuals, y_bar, train):
        x, _, b = residuals
        return layer.bwd((x, feedback, b), y_bar, train)

    return purecnn.with_backward(layer, bwd)


def test_a_chain_follows_the_new_rule_in_both_ways():
    x, labels = normal(6, 5), jnp.arange(6) % 3
    feedback = normal(4, 3, seed=7)
    net = Chain("net", (nn.dense(4), nn.sigmoid(), aligned(nn.dense(3), feedback)))
    params = net.init(jax.random.key(1), (5,))

    def loss(params):
        return purecnn.softmax_cross_entropy(net.apply(params, x), labels).mean()

    value, grads = purecnn.backprop(net, params, x, labels)
    by_autodiff = jax.grad(loss)(params)
    assert value == loss(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), grads, by_autodiff)

    x, feedback = np.asarray(x), np.asarray(feedback)  # written out in NumPy: w̄₁ goes through `feedback`, w̄₂ does not
    (w1, b1), (w2, b2) = ((np.asarray(p["w"]), np.asarray(p["b"])) for p in (params[0], params[2]))
    hidden = 1 / (1 + np.exp(-(x @ w1 + b1)))
    odds = np.exp(hidden @ w2 + b2)
    y_bar = (odds / odds.sum(axis=1, keepdims=True) - np.eye(3)[labels]) / 6
    np.testing.assert_allclose(grads[2]["w"], hidden.T @ y_bar, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(grads[0]["w"], x.T @ (y_bar @ feedback.T * hidden * (1 - hidden)), rtol=1e-4, atol=1e-6)


def test_layers_with_state_and_with_keys_can_be_replaced_too():
    scaled = [
        purecnn.with_backward(layer, lambda r, y_bar, train, layer=layer: layer.bwd(r, 2 * y_bar, train))
        for layer in (nn.batch_norm(), nn.dropout(0.5), nn.residual(nn.relu()))
    ]
    plain = Chain("plain", (nn.batch_norm(), nn.dropout(0.5), nn.residual(nn.relu())))
    eightfold = Chain("eightfold", tuple(scaled))
    x, key = normal(5, 3), jax.random.key(2)
    params, state = plain.init(key, (3,)), plain.init_state((3,))

    def total(net, params, x):
        y, new = net.apply_with_state(params, x, state=state, train=True, key=key)
        return (y**2).sum(), new

    (value, new), bars = jax.value_and_grad(lambda *a: total(plain, *a), (0, 1), has_aux=True)(params, x)
    (same, also), eight = jax.value_and_grad(lambda *a: total(eightfold, *a), (0, 1), has_aux=True)(params, x)
    assert value == same
    jax.tree.map(np.testing.assert_array_equal, new, also)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(8 * a, b, rtol=1e-6, atol=1e-6), bars, eight)


def test_a_plain_function_is_refused():
    with pytest.raises(TypeError, match="with_backward: original: got function, expected a rule of purecnn or a layer"):
        purecnn.with_backward.__wrapped__(lambda x: x, guided)  # without the tests' own check of types


def no_tuple(residuals, y_bar, **options):
    return y_bar


def too_many(residuals, y_bar, **options):
    return y_bar, y_bar


@pytest.mark.parametrize(("bwd", "got"), [(no_tuple, "[a-zA-Z]+"), (too_many, "a tuple of 2")])
def test_a_wrong_number_of_cotangents_of_a_rule_is_named(bwd, got):
    """A batch of one alone could be mistaken for a tuple of one."""
    wrong = purecnn.with_backward(purecnn.relu, bwd)
    with pytest.raises(
        TypeError, match=rf"^relu: bwd: got {got}, expected a tuple of 1, a cotangent for each argument"
    ):
        jax.grad(lambda x: wrong(x).sum())(normal(1, 3))


def test_a_wrong_number_of_cotangents_is_named_in_a_chain_too():
    x = normal(2, 3)
    few = purecnn.with_backward(purecnn.dense, lambda residuals, y_bar: (y_bar,))
    net = Chain("net", (nn.from_rule(few, names=("w",), init=lambda key, shape, dtype: {"w": normal(3, 3)}),))
    params = net.init(jax.random.key(0), (3,))
    message = r"layer 0 \(dense\), sent .*: bwd: got 1 values, expected a tuple of the cotangents of x, w"
    with pytest.raises(TypeError, match=message):
        purecnn.backprop(net, params, x, x, loss=(purecnn.squared_error_fwd, purecnn.squared_error_bwd))
    alone = Chain("net", (purecnn.with_backward(nn.relu(), lambda residuals, y_bar, train: y_bar),))
    with pytest.raises(TypeError, match=r"bwd: got .*, expected a tuple \(x_bar, params_bar\)"):
        jax.grad(lambda x: alone.apply([{}], x).sum())(x)
