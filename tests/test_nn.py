import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import nn
from tests.oracles.agreement import assert_trees_close
from verify.running import quickly

KEY = jax.random.key(0)
IMAGE = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 2)), "float32")
ROW = IMAGE.reshape(2, -1)

LAYERS = [
    (nn.conv2d(4, 3, padding="SAME"), IMAGE),
    (nn.conv2d(4, (1, 2), bias=False, groups=2, stride=2, algorithm="im2col"), IMAGE),
    (nn.conv1d(4, 3, stride=2, padding=(2, 0), groups=2), IMAGE[:, 0]),
    (nn.conv1d(3, 2, bias=False, dilation=2), IMAGE[:, 0]),
    (nn.conv_transpose2d(4, 3, stride=2, padding=1, groups=2, output_padding=(1, 0)), IMAGE),
    (nn.dense(3), ROW),
    (nn.dense(3, bias=False), ROW),
    (nn.relu(slope_at_zero=0.5), IMAGE),
    (nn.relu6(), IMAGE),
    (nn.leaky_relu(negative_slope=0.2), IMAGE),
    (nn.hard_swish(), IMAGE),
    (nn.silu(), IMAGE),
    (nn.tanh(), IMAGE),
    (nn.softmax(1), IMAGE),
    (nn.gelu(approximate=False), IMAGE),
    (nn.sigmoid(), IMAGE),
    (nn.softmax(), ROW),
    (nn.flatten(), IMAGE),
    (nn.max_pool2d(3, stride=1, ties="split"), IMAGE),
    (nn.avg_pool2d((2, 1)), IMAGE),
    (nn.adaptive_avg_pool2d((2, 4)), IMAGE),
    (nn.global_avg_pool(), IMAGE),
    (nn.upsample2d((2, 3), method="bilinear"), IMAGE),
    (nn.local_response_norm(size=3), IMAGE),
    (nn.dropout(0.5), IMAGE),
    (nn.drop_path(0.5), IMAGE),
    (nn.group_norm(2), IMAGE),
    (nn.layer_norm(), ROW.reshape(2, 2, 16)),
    (nn.batch_norm(), IMAGE),
    (nn.batch_norm(unbiased=True), IMAGE),
    (nn.residual(nn.conv2d(2, 3, padding="SAME"), nn.dropout(0.5), nn.batch_norm()), IMAGE),
    (nn.branches((nn.conv2d(3, 1, bias=False), nn.batch_norm()), (), (nn.dropout(0.5), nn.relu())), IMAGE),
    (nn.function(lambda x, scale, power: scale * x**power, init=lambda *_: {"scale": jnp.array(2.0)}, power=3), IMAGE),
]


@pytest.mark.parametrize("train", [False, True], ids=["inference", "training"])
@pytest.mark.parametrize(("layer", "x"), LAYERS, ids=[f"{i}-{layer.name}" for i, (layer, _) in enumerate(LAYERS)])
def test_the_pair_is_the_gradient_of_apply(layer, x, train):
    """Value, state after it, and every cotangent: the lists by hand, and autodiff of the layer without its rules,
    against jax.grad through the joined rules."""

    @quickly
    def both(x):
        params, state = layer.init(KEY, x.shape[1:], x.dtype), layer.init_state(x.shape[1:], x.dtype)
        y, vjp, after = jax.vjp(lambda p, x: layer.apply(p, state, x, train, KEY), params, x, has_aux=True)
        y_bar = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
        params_bar, x_bar = vjp(y_bar)

        def by_pair(layer):
            y, after, residuals = layer.fwd(params, state, x, train, KEY)
            return y, after, *layer.bwd(residuals, y_bar, train)

        return by_pair(layer), by_pair(layer.without_rules()), (y, after, x_bar, params_bar)

    by_hand, by_autodiff, joined = both(x)
    assert jax.tree.structure(by_hand) == jax.tree.structure(joined)
    assert_trees_close(by_hand, joined, 1e-6)
    assert_trees_close(by_autodiff, joined, 1e-6)


def test_dropout_does_nothing_outside_training():
    layer = nn.dropout(0.9)
    y, _ = layer.apply({}, {}, IMAGE, False, None)
    assert y is IMAGE
    assert layer.bwd((), IMAGE, False)[0] is IMAGE


def test_every_dropout_of_a_chain_draws_its_own_mask():
    net = purecnn.Chain("net", (nn.dropout(0.5), nn.dropout(0.5)))
    y = net.apply([{}, {}], jnp.ones((1, 1000)), train=True, key=KEY)
    assert set(np.unique(y).tolist()) == {0.0, 4.0}
    assert abs(float((y != 0).mean()) - 0.25) < 0.06


def test_running_statistics_move_by_the_momentum_and_leave_the_old_ones_alone():
    layer = nn.batch_norm(momentum=0.75)
    params, state = layer.init(KEY, (2,), jnp.float32), layer.init_state((2,), jnp.float32)
    x = jnp.array([[0.0, 4.0], [2.0, 8.0]])  # means 1 and 6, variances 1 and 4
    _, after = layer.apply(params, state, x, True, None)
    assert {name: a.tolist() for name, a in after.items()} == {"mean": [0.25, 1.5], "variance": [1.0, 1.75]}
    assert state["mean"].tolist() == [0, 0]


def test_the_unbiased_variance_moves_in_as_pytorch_has_it():
    """m / (m−1) of the biased one, and no division by zero for a single entry."""
    layer = nn.batch_norm(momentum=0.0, unbiased=True)
    x = jnp.array([[0.0, 4.0], [2.0, 8.0]])
    params, state = layer.init(KEY, (2,), x.dtype), layer.init_state((2,), x.dtype)
    assert layer.apply(params, state, x, True, None)[1]["variance"].tolist() == [2, 8]
    assert layer.fwd(params, state, x, True, None)[1]["variance"].tolist() == [2, 8]
    assert layer.fwd(params, state, x[:1], True, None)[1]["variance"].tolist() == [0, 0]


def test_the_unbiased_variance_counts_the_entries_of_all_devices():
    whole, parts = nn.batch_norm(momentum=0.0, unbiased=True), nn.batch_norm(momentum=0.0, unbiased=True, axis_name="d")
    x = jnp.array([[0.0, 4.0], [2.0, 8.0], [7.0, 1.0], [3.0, 5.0]])
    params, state = whole.init(KEY, (2,), x.dtype), whole.init_state((2,), x.dtype)
    expected = whole.apply(params, state, x, True, None)[1]["variance"]
    for call in (parts.apply, parts.fwd):
        got = jax.vmap(lambda x, call=call: call(params, state, x, True, None)[1]["variance"], axis_name="d")(
            x.reshape(2, 2, 2)
        )
        np.testing.assert_allclose(got, jnp.stack([expected, expected]), rtol=1e-6)


def test_the_gradient_does_not_go_through_the_running_statistics():
    layer = nn.batch_norm()
    params, state = layer.init(KEY, (2,), jnp.float32), layer.init_state((2,), jnp.float32)

    @quickly
    def slope(x):
        return jax.grad(lambda x: sum((s**2).sum() for s in layer.apply(params, state, x, True, None)[1].values()))(x)

    assert not slope(jnp.array([[0.0, 4.0], [2.0, 8.0]])).any()


def test_inference_uses_the_running_statistics_and_keeps_them():
    layer = nn.batch_norm(epsilon=1e-12)
    state = {"mean": jnp.array([1.0, 2.0]), "variance": jnp.array([4.0, 1.0])}
    y, after = layer.apply(layer.init(KEY, (2,), jnp.float32), state, jnp.array([[3.0, 2.0]]), False, None)
    np.testing.assert_allclose(y, [[1, 0]], rtol=1e-6)
    assert after is state


def test_running_statistics_of_sixteen_bit_nets_are_float32():
    layer = nn.batch_norm()
    params, state = layer.init(KEY, (2,), jnp.bfloat16), layer.init_state((2,), jnp.bfloat16)
    y, after = layer.apply(params, state, jnp.ones((3, 2), jnp.bfloat16), True, None)
    assert y.dtype == jnp.bfloat16
    assert {a.dtype for a in after.values()} == {jnp.dtype("float32")}


def test_a_function_is_called_by_its_name_and_says_that_autodiff_stands_in():
    named, plain = nn.function(jnp.tanh, name="squash"), nn.function(jnp.tanh)
    assert (named.name, plain.name) == ("squash", "tanh")
    assert plain.by_autodiff
    assert nn.residual(nn.branches((plain,), ())).by_autodiff
    assert not nn.residual(nn.branches((nn.relu(),), ())).by_autodiff


def test_an_array_for_an_option_is_refused_when_the_layer_is_made():
    with pytest.raises(TypeError, match="conv2d: stride: got ArrayImpl, expected a static"):
        nn.conv2d(4, 3, stride=jnp.array([2, 2]))


def test_parameters_without_a_bias_have_gradients_without_one():
    """As `jax.grad` has it, so that an optimiser finds the tree that it knows."""
    net, x, labels = purecnn.Chain("net", (nn.dense(3),)), jnp.ones((2, 4)), jnp.array([0, 1])
    params = [{"w": net.init(KEY, (4,))[0]["w"]}]
    assert jax.tree.structure(purecnn.backprop(net, params, x, labels)[1]) == jax.tree.structure(params)
