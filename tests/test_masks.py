"""Masks that a neighbour has change no gradient: beside `jax.grad`, in which every rule stands alone, and autodiff.

Exact where numbers are whole; zeros, negative numbers, ties and NaN are among them.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import purecnn
from purecnn import masks, nn
from purecnn.layers.relu import relu
from purecnn.layers.relu6 import relu6
from purecnn.train.freezing import with_frozen

POOLED = (nn.conv2d(4, 3), nn.relu(), nn.max_pool2d(3, stride=2, padding=1), nn.flatten(), nn.dense(3))
NORMED = (nn.conv2d(4, 3), nn.batch_norm(), nn.relu(), nn.conv2d(4, 3), nn.batch_norm(), nn.relu6(), nn.flatten())
SIXES = (nn.conv2d(4, 1), nn.relu6(), nn.max_pool2d(2), nn.flatten())
WIDE_WINDOW = (nn.conv2d(4, 1), nn.relu(), nn.max_pool2d(5, stride=3, ties="last"), nn.flatten())
STEM = (nn.conv2d(4, 3), nn.batch_norm(), nn.relu(), nn.max_pool2d(3, stride=2, padding=1), nn.flatten())


def built(*layers, dtype="float32", whole=True):
    """A net with whole numbers for parameters and inputs, half of which are 0 or repeat."""
    net, rng = purecnn.Chain("net", layers), np.random.default_rng(len(layers))
    params = net.init(jax.random.key(0), (9, 9, 2))
    params = jax.tree.map(lambda p: rng.integers(-2, 3, p.shape) if whole else rng.standard_normal(p.shape), params)
    x = rng.integers(-2, 3, (2, 9, 9, 2)) if whole else rng.standard_normal((2, 9, 9, 2))
    return net, jax.tree.map(lambda p: jnp.asarray(p, dtype), params), jnp.asarray(x, dtype)


def by_the_lists(net, params, x, *, train=False):
    y, _, residuals = net.forward(params, x, state=net.init_state(x.shape[1:], x.dtype), train=train)
    return net.backward(residuals, jnp.ones_like(y), train=train)


def by_jax(net, params, x, *, train=False):
    """x̄ and the parameters', of the sum of the outputs."""
    state = net.init_state(x.shape[1:], x.dtype)
    bars = jax.grad(lambda p, x: net.apply(p, x, state=state, train=train).sum(), (0, 1))(params, x)
    return bars[1], bars[0]


@pytest.mark.parametrize(("layers", "high"), [(POOLED, None), (WIDE_WINDOW, None), (SIXES, 6.0)])
def test_the_pool_has_the_mask_of_the_relu_in_front(layers, high):
    net, params, x = built(*layers)
    assert masks.shared_masks(net.layers, False) == masks.Masks(having=((2, (0.0, high)),), spared=(1,))
    for ours, theirs in zip(*map(jax.tree.leaves, (by_the_lists(net, params, x), by_jax(net, params, x))), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("ties", ["first", "last"])
@pytest.mark.parametrize("window", [2, 3, 5, (1, 12), (6, 3), 9])
def test_no_cotangent_where_no_entry_of_a_window_is_positive(window, ties):
    """One pass over the window, two where it has many offsets, and a loop where it is long."""
    net = purecnn.Chain("net", (nn.relu(), nn.max_pool2d(window, stride=1, ties=ties)))
    x = jnp.asarray(np.random.default_rng(1).integers(-6, 2, (2, 12, 12, 3)), jnp.float32).at[0].min(0)
    ours, theirs = by_the_lists(net, [{}, {}], x)[0], by_jax(net, [{}, {}], x)[0]
    np.testing.assert_array_equal(ours, theirs)
    assert (ours[0] == 0).all()
    assert ours[1].sum() > 0


def test_batch_norm_has_the_mask_of_the_relu_behind():
    with jax.enable_x64(True):
        net, params, x = built(*NORMED, dtype="float64", whole=False)
        assert masks.shared_masks(net.layers, True) == masks.Masks(((1, (0.0, None)), (4, (0.0, 6.0))), (2, 5))
        assert masks.shared_masks(net.layers, False) == masks.NO_MASKS
        found = [jax.tree.leaves(way(net, params, x, train=True)) for way in (by_the_lists, by_jax)]
        plain = jax.tree.leaves(by_jax(net.without_rules(), params, x, train=True))
        for ours, theirs, autodiff in zip(*found, plain, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(ours, autodiff, rtol=1e-10, atol=1e-10)


def test_the_pool_is_asked_before_batch_norm():
    net, params, x = built(*STEM, whole=False)
    assert masks.shared_masks(net.layers, True).having == ((3, (0.0, None)),)
    found = [jax.tree.leaves(way(net, params, x, train=True)) for way in (by_the_lists, by_jax)]
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_nan_has_the_cotangents_that_it_has_alone():
    net = purecnn.Chain("net", (nn.relu(), nn.max_pool2d()))
    x = jnp.array([[np.nan, 1.0, -1, -2], [2, 3, -3, 0]], jnp.float32)[None, :, :, None]
    ours, theirs = by_the_lists(net, [{}, {}], x)[0], by_jax(net, [{}, {}], x)[0]
    np.testing.assert_array_equal(ours, theirs)
    assert (ours == 0).all()  # a NaN wins the first window, and ReLU's slope is 0 there; the second holds no positive


@pytest.mark.parametrize(
    "layers",
    [
        (nn.relu(slope_at_zero=0.5), nn.max_pool2d()),
        (nn.relu(), nn.max_pool2d(ties="all")),
        (nn.relu(), nn.avg_pool2d()),
        (purecnn.with_backward(nn.relu(), lambda residuals, y_bar, train: (y_bar, {})), nn.max_pool2d()),
        (nn.relu(), purecnn.with_backward(nn.max_pool2d(), lambda residuals, y_bar, train: (None, {}))),
        (nn.from_rule(purecnn.with_backward(purecnn.relu, purecnn.relu.bwd)), nn.max_pool2d()),
        (nn.relu(),),
    ],
    ids=lambda layers: " ".join(layer.name for layer in layers),
)
def test_other_pairs_stand_alone(layers):
    assert masks.shared_masks(layers, True) == masks.NO_MASKS


def test_frozen_and_plain_layers_stand_alone():
    net = purecnn.Chain("net", STEM[:3])
    assert masks.shared_masks(net.layers, True).spared == (2,)
    assert masks.shared_masks(with_frozen(net, frozenset({1}), False).layers, True) == masks.NO_MASKS
    assert masks.shared_masks(net.without_rules().layers, True) == masks.NO_MASKS


def test_a_backward_rule_of_ones_own_gets_what_it_always_got():
    """A ReLU that passes on every cotangent, in front of a pool."""
    straight = purecnn.with_backward(nn.relu(), lambda residuals, y_bar, train: (y_bar, {}))
    net = purecnn.Chain("net", (straight, nn.max_pool2d()))
    x_bar, _ = by_the_lists(net, [{}, {}], -jnp.ones((1, 2, 2, 1)))
    assert x_bar.sum() == 1


@pytest.mark.parametrize("layers", [POOLED, NORMED, STEM])
def test_the_lists_may_be_walked_by_hand(layers):
    """Every layer's residuals are still what its own backward rule needs."""
    net, params, x = built(*layers, whole=False)
    y, _, residuals = net.forward(params, x, state=net.init_state(x.shape[1:], x.dtype), train=True)
    bar = jnp.ones_like(y)
    whole, _ = net.backward(residuals, bar, train=True)
    for layer, kept in reversed(list(zip(net.layers, residuals, strict=True))):
        bar, _ = layer.bwd(kept, bar, True)
    np.testing.assert_allclose(bar, whole, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(net.backward(list(residuals), jnp.ones_like(y), train=True)[0], whole)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("wrong", [{relu: (-9.0, None), relu6: (-9.0, 6.0)}, {relu: (2.0, None), relu6: (0.0, 3.0)}])
def test_other_bounds_are_noticed(monkeypatch, train, wrong):
    net, params, x = built(*(NORMED if train else POOLED), whole=False)
    params, x = jax.tree.map(lambda a: 3 * a, (params, x))
    right = by_jax(net, params, x, train=train)[0]
    monkeypatch.setattr(masks, "BOUNDS", wrong)
    assert not np.allclose(by_the_lists(net, params, x, train=train)[0], right, atol=1e-3)


def test_a_compiled_step_does_not_keep_what_a_pool_knows(monkeypatch):
    net, shape = purecnn.models.cifar_cnn(10), (32, 32, 3)
    params = jax.eval_shape(lambda: net.init(jax.random.key(0), shape))

    def temporaries():
        step = jax.jit(lambda p, x: by_the_lists(net, p, x)[1])
        found = step.lower(params, jax.ShapeDtypeStruct((32, *shape), "float32")).compile().memory_analysis()
        assert found is not None
        return found.temp_size_in_bytes

    shared = temporaries()
    monkeypatch.setattr("purecnn.chain.shared_masks", lambda layers, train: masks.NO_MASKS)
    assert shared < 0.9 * temporaries()  # 16.1 and 20.2 MB
