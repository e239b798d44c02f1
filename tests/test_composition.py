import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import nn

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 2)), "float32")


def test_an_empty_body_and_shortcut_double_the_input():
    layer = nn.residual()
    state = layer.init_state((4, 4, 2), jnp.float32)
    params = layer.init(KEY, (4, 4, 2), jnp.float32)
    assert (layer.apply(params, state, X, False, None)[0] == 2 * X).all()
    _, _, residuals = layer.fwd(params, state, X, False, None)
    assert (layer.bwd(residuals, X, False)[0] == 2 * X).all()


def test_branches_stand_side_by_side_and_each_is_sent_its_channels():
    """x as it is, and x by a 1×1 convolution with known weights: x̄ = ȳ's first channels + the rest times wᵀ."""
    layer = nn.branches((), (nn.conv2d(3, 1, bias=False),))
    w = jnp.arange(6.0).reshape(1, 1, 2, 3)
    params, state = {"0": [], "1": [{"w": w}]}, {"0": [], "1": [{}]}
    assert jax.tree.map(jnp.shape, layer.init(KEY, (4, 4, 2), jnp.float32)) == jax.tree.map(jnp.shape, params)
    assert layer.init_state((4, 4, 2), jnp.float32) == state

    y, _, residuals = layer.fwd(params, state, X, False, None)
    np.testing.assert_allclose(y, np.concatenate([X, X @ np.asarray(w[0, 0])], axis=-1), rtol=1e-5, atol=1e-6)
    x_bar, params_bar = layer.bwd(residuals, y, False)
    np.testing.assert_allclose(x_bar, y[..., :2] + y[..., 2:] @ w[0, 0].T, rtol=1e-5, atol=1e-5)
    expected = np.einsum("nhwc,nhwd->cd", X, y[..., 2:])
    np.testing.assert_allclose(params_bar["1"][0]["w"][0, 0], expected, rtol=1e-4, atol=1e-4)


def test_branches_of_rows_join_their_features():
    layer = nn.branches((nn.dense(3),), purecnn.Chain("way", (nn.relu(),)))
    net = purecnn.Chain("net", (nn.flatten(), layer))
    assert net.shapes((4, 4, 2)) == [(4, 4, 2), (32,), (35,)]


def test_every_way_draws_its_own_mask_and_has_its_own_statistics():
    layer = nn.branches((nn.dropout(0.5), nn.batch_norm()), (nn.dropout(0.5), nn.batch_norm()))
    params, state = layer.init(KEY, (50,), jnp.float32), layer.init_state((50,), jnp.float32)
    x = jnp.ones((20, 50))
    y, after = layer.apply(params, state, x, True, KEY)
    assert (y[:, :50] != y[:, 50:]).any()
    assert (after["0"][1]["mean"] != after["1"][1]["mean"]).any()


@pytest.mark.usefixtures("users_errors")
def test_branches_that_do_not_fit_together():
    net = purecnn.Chain("net", (nn.branches((), (nn.conv2d(3, 3),)),))
    message = r"net: layer 0 \(branches\).*concatenate: xs\[1\]: got shape \(1, 2, 2, 3\)"
    with pytest.raises(ValueError, match=message):
        net.shapes((4, 4, 2))
    with pytest.raises(ValueError, match="branches: ways: got none, expected at least one"):
        nn.branches()


@pytest.mark.usefixtures("users_errors")
def test_an_error_inside_a_way_says_where():
    net = purecnn.Chain("net", (nn.branches((), (nn.relu(), nn.conv2d(3, 1))),))
    with pytest.raises(ValueError, match=r"net: layer 0 \(branches\).*1: layer 1 \(conv2d\), fed samples of shape"):
        net.shapes((4,))


def test_squeeze_and_excitation_weighs_the_channels_and_its_gradient_is_autodiffs():
    layer = nn.squeeze_excite(2, 3)
    params, state = layer.init(KEY, (4, 4, 2), jnp.float32), layer.init_state((4, 4, 2), jnp.float32)
    _, first, _, second, _ = params["gate"]

    def plain(params, x):
        _, first, _, second, _ = params["gate"]
        hidden = jnp.maximum(x.mean((1, 2)) @ first["w"] + first["b"][None], 0)
        return x * jax.nn.sigmoid(hidden @ second["w"] + second["b"][None])[:, None, None, :]

    assert (first["w"].shape, second["w"].shape) == ((2, 3), (3, 2))
    y, _, residuals = layer.fwd(params, state, X, False, None)
    expected, pullback = jax.vjp(plain, params, X)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    x_bar, params_bar = layer.bwd(residuals, X, False)
    expected_params_bar, expected_x_bar = pullback(X)
    np.testing.assert_allclose(x_bar, expected_x_bar, rtol=1e-4, atol=1e-5)
    for got, want in zip(jax.tree.leaves(params_bar), jax.tree.leaves(expected_params_bar), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_the_gates_cotangent_accumulates_in_float32():
    """4,096 ones an image: a sum in bfloat16 stands still at 256."""
    layer = nn.gated(nn.global_avg_pool())
    x = jnp.ones((1, 64, 64, 1), "bfloat16")
    _, _, residuals = layer.fwd({"body": [], "gate": [{}]}, {"body": [], "gate": [{}]}, x, False, None)
    x_bar, _ = layer.bwd(residuals, x, False)
    assert (x_bar == 2).all()  # ȳ g = 1, and 4,096 spread over as many entries


@pytest.mark.usefixtures("users_errors")
def test_a_gate_that_is_not_one_number_a_channel_is_refused():
    net = purecnn.Chain("net", (nn.gated(nn.global_avg_pool(), nn.dense(3)),))
    with pytest.raises(ValueError, match=r"gated: gate: got samples of shape \(3,\), expected \(2,\)"):
        net.shapes((4, 4, 2))


def test_a_way_may_be_one_layer_or_any_sequence_of_them():
    layers = (nn.relu(), nn.tanh())
    assert nn.branches(layers[0], list(layers)) == nn.branches(layers[:1], purecnn.Chain("way", layers))
    assert nn.residual(*layers, shortcut=layers[0]) == nn.residual(*layers, shortcut=layers[:1])
