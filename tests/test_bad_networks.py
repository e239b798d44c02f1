"""What a user does wrong with a chain, and what purecnn says: the layer, its place, what came, what was expected."""

import functools
import re
from typing import Any, cast

import jax
import jax.numpy as jnp
import pytest

import purecnn
from purecnn import nn
from purecnn.models import alexnet, lenet, mlp, resnet_cifar

pytestmark = pytest.mark.usefixtures("users_errors")

ROW = jnp.ones((2, 5))


def made(net, shape):
    """Parameters without their numbers."""
    return jax.eval_shape(lambda: net.init(jax.random.key(0), shape))


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (lenet(), (3, 3, 1), "lenet: layer 5 (max_pool2d), fed samples of shape (1, 1, 16): max_pool2d: window: got"),
        (
            lenet(),
            (28, 28),
            "lenet: layer 0 (conv2d), fed samples of shape (28, 28): conv2d: input_shape: got (28, 28)",
        ),
        (lenet(second_padding="VALID"), (8, 8, 1), "lenet: layer 3 (conv2d), fed samples of shape (4, 4, 6): conv2d"),
        (alexnet(), (32, 32, 3), "alexnet: layer 14 (max_pool2d), fed samples of shape (1, 1, 256): max_pool2d"),
        (alexnet(grouped=True), (224, 224), "alexnet: layer 0 (conv2d)"),
    ],
    ids=["too small", "no channels", "too small for VALID", "alexnet too small", "alexnet without channels"],
)
def test_an_input_shape_a_model_cannot_take(net, shape, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        made(net, shape)


def test_images_of_another_size_than_the_parameters_were_made_for():
    net = lenet()
    params = made(net, (8, 8, 1))
    with pytest.raises(
        ValueError, match=r"lenet: layer 7 \(dense\), fed samples of shape \(144,\): dense: w: got shape"
    ):
        jax.eval_shape(net.apply, params, jnp.ones((1, 12, 12, 1)))


def test_parameters_of_another_net():
    net = mlp()
    with pytest.raises(ValueError, match="mlp: params, state: got 2 and 5 entries, expected one per layer"):
        net.apply([{}, {}], ROW)


def test_dropout_without_a_key_in_training():
    net = purecnn.Chain("net", (nn.dropout(0.5),))
    message = r"net: layer 0 \(dropout\).*dropout: key: got None, expected a key from jax.random.key when train=True"
    for call in (net.apply, net.forward):
        with pytest.raises(ValueError, match=message):
            call([{}], ROW, train=True)


def test_batch_norm_inference_without_its_state():
    net = resnet_cifar(features=(2,))
    params = made(net, (4, 4, 1))
    message = r"resnet_cifar: layer 1 \(batch_norm\).*batch_norm: state: got none, expected running statistics"
    for call in (net.apply, net.forward):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(call, params, jnp.ones((1, 4, 4, 1)))


def test_a_residual_block_whose_ways_do_not_fit_together():
    net = purecnn.Chain("net", (nn.residual(nn.conv2d(5, 3, padding="SAME")),))
    message = r"net: layer 0 \(residual\).*residual: body: got samples of shape \(4, 4, 5\), expected \(4, 4, 3\)"
    with pytest.raises(ValueError, match=message):
        made(net, (4, 4, 3))


@pytest.mark.parametrize(
    ("given", "called"),
    [
        (len, "builtin_function_or_method len"),
        (purecnn.relu, "function relu"),
        (nn.relu, "function relu"),
        (purecnn.Chain("backbone", ()), "Chain backbone"),
        ((nn.relu(),), "tuple"),
    ],
    ids=["function", "rule", "constructor", "chain", "tuple"],
)
def test_what_is_no_layer(given, called):
    message = f"net: layer 1: got {called}, expected a Layer: nn.relu(), nn.from_rule(rule), nn.function(f), or *chain"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
        purecnn.Chain("net", (nn.flatten(), given))
    with pytest.raises(TypeError, match=f"^body: layer 0: got {called}, expected"):
        nn.residual(given)


@pytest.mark.usefixtures("users_errors")
@pytest.mark.parametrize("given", [("net", nn.relu()), (nn.flatten(), nn.relu()), ((nn.relu(),), "net"), (None, None)])
def test_a_chain_of_other_arguments(given):
    got = " and ".join(type(each).__name__ for each in given)
    with pytest.raises(TypeError, match=rf"^Chain: name and layers: got {got}, expected text and layers: Chain"):
        purecnn.Chain(*given)


@pytest.mark.parametrize("loss", [purecnn.squared_error, (purecnn.squared_error_fwd,)], ids=["rule", "half a pair"])
def test_a_loss_that_is_no_pair(loss):
    net = purecnn.Chain("net", (nn.flatten(),))
    message = r"backprop: loss: got .*, expected a tuple \(squared_error_fwd, squared_error_bwd\)"
    with pytest.raises(TypeError, match=message):
        purecnn.backprop(net, [{}], ROW, ROW, loss=loss)


@pytest.mark.parametrize("layer", [nn.dense(3), nn.batch_norm(), nn.residual(), nn.conv1d(2, 1)])
def test_parameters_that_lack_an_entry(layer):
    net = purecnn.Chain("net", (layer,))
    for call in (net.apply, net.forward):
        with pytest.raises((TypeError, KeyError), match=rf"net: layer 0 \({layer.name}\).*'(w|scale|body)'"):
            call([{}], ROW, train=True)


@pytest.mark.parametrize(("features", "error"), [(4.0, TypeError), (0, ValueError)])
def test_features_that_are_no_number_of_channels(features, error):
    for make, *window in ((nn.conv2d, 3), (nn.conv1d, 3), (nn.conv_transpose2d, 3), (nn.dense,)):
        with pytest.raises(error, match=f"^{make.__name__}: features: got {features}, expected "):
            make(features, *window)


@pytest.mark.parametrize(("given", "got"), [(ROW, "an array of shape (2, 5)"), (5, "5")])
def test_what_is_no_shape_of_a_sample(given, got):
    net = purecnn.Chain("net", (nn.dense(3),))
    message = f"net: input_shape: got {got}, expected the shape of one sample, (H, W, C) for images"
    for call in (lambda: net.init(jax.random.key(0), given), lambda: net.init_state(given), lambda: net.summary(given)):
        with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
            call()


def wrong(**functions):
    """A layer with these for `apply`, `fwd` and `bwd`."""
    right = {
        "apply": lambda params, state, x, train, key: (x, state),
        "fwd": lambda params, state, x, train, key: (x, state, ()),
        "bwd": lambda residuals, y_bar, train: (y_bar, {}),
    }
    return purecnn.Chain("net", (purecnn.chain.Layer("mine", **right | functions),))


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_layer_of_ones_own_that_returns_too_little_is_named(batch):
    """A batch of two alone could be mistaken for y and the state, each an image."""
    x = jnp.ones((batch, 2))
    place = r"^net: layer 0 \(mine\), fed samples of shape \(2,\): "
    net = wrong(apply=lambda params, state, x, train, key: x)
    with pytest.raises(TypeError, match=place + r"apply: got .*, expected a tuple \(y, state\)"):
        net.apply([{}], x)
    net = wrong(fwd=lambda params, state, x, train, key: (x, state))
    with pytest.raises(TypeError, match=place + r"fwd: got 2 values, expected a tuple \(y, state, residuals\)"):
        net.forward([{}], x)
    net = wrong(bwd=lambda residuals, y_bar, train: y_bar)
    with pytest.raises(TypeError, match=r"mine\), sent cot.* bwd: got .*, expected a tuple \(x_bar, params_bar\)"):
        net.backward([()], x)


def test_what_is_no_key():
    message = r"^key: got 0, expected a key from jax\.random\.key"
    net, seed = purecnn.Chain("net", (nn.dropout(0.5),)), cast("Any", 0)
    for call in (net.apply, net.forward):
        with pytest.raises(TypeError, match=message):
            call([{}], ROW, train=True, key=seed)
    with pytest.raises(TypeError, match=message):
        net.init(seed, (5,))


def test_a_way_that_is_no_layer():
    constructor: Any = nn.relu
    for others in ((), (nn.relu(),)):
        with pytest.raises(TypeError, match=r": layer 0: got function relu, expected a Layer: nn\.relu\(\)"):
            nn.branches(*others, constructor)
    with pytest.raises(TypeError, match=r"^shortcut: layer 0: got function relu, expected a Layer"):
        nn.residual(nn.relu(), shortcut=constructor)


def test_numbers_that_a_layer_can_never_take_are_refused_when_it_is_made():
    """Inference, which drops nothing, would not notice."""
    text: Any = "0.5"
    for make in (nn.dropout, nn.drop_path):
        with pytest.raises(ValueError, match=rf"^{make.__name__}: rate: got 1\.5, expected at least 0 and below 1"):
            make(1.5)
        with pytest.raises(TypeError, match=rf"^{make.__name__}: rate: got '0\.5', expected a number"):
            make(text)
    with pytest.raises(ValueError, match=r"^batch_norm: momentum: got 1\.5, expected from 0 to 1"):
        nn.batch_norm(momentum=1.5)


def test_from_rule_takes_rules_alone():
    message = r"^from_rule: rule: got .*, expected a rule and its pair, .*nn\.function\(f\) is for any other f"
    function: Any = jax.custom_vjp(jnp.sin)
    with pytest.raises(TypeError, match=message):
        nn.from_rule(function)


@pytest.mark.parametrize("given", [{"0": {}}, {"params": {"0": {}}}, None, ROW, 1])
def test_what_is_no_list_of_a_dict_for_each_layer(given):
    net, good = purecnn.Chain("net", (nn.batch_norm(),)), made(purecnn.Chain("net", (nn.batch_norm(),)), (5,))
    expected = f"got {type(given).__name__}, expected a list of one dict per layer, as by Chain.init"
    for call in (net.apply, net.forward, lambda *args: purecnn.backprop(net, *args, ROW)):
        with pytest.raises(TypeError, match=f"^net: params: {expected}"):
            call(given, ROW)
    if given is not None:
        with pytest.raises(TypeError, match=f"^net: state: {expected}_state"):
            net.apply(good, ROW, state=given)


@pytest.mark.parametrize("given", [[[1.0] * 5], None, 1.0])
def test_an_input_that_is_no_array(given):
    net = purecnn.Chain("net", (nn.relu(),))
    for call in (net.apply, net.forward):
        with pytest.raises(TypeError, match=rf"^net: x: got {type(given).__name__}, expected an array \(N, ...\)"):
            call([{}], given)


def test_a_rule_called_with_too_little_or_with_a_list_is_named():
    relu, conv2d, entropy = (
        cast("Any", rule) for rule in (purecnn.relu, purecnn.conv2d, purecnn.softmax_cross_entropy)
    )
    with pytest.raises(TypeError, match=r"^conv2d: missing a required argument: 'w'"):
        conv2d(ROW)
    with pytest.raises(TypeError, match=r"^relu: x: got a list, expected an array"):
        relu([1.0, 2.0])
    with pytest.raises(TypeError, match=r"^softmax_cross_entropy: labels: got a list, expected an array"):
        entropy(ROW, [0, 1])


def test_plain_functions_without_a_name_make_layers():
    class Scale:
        def __call__(self, x):
            return 2 * x

    halves = nn.function(functools.partial(jnp.multiply, 0.5))
    net = purecnn.Chain("net", (halves, nn.function(Scale())))
    assert [layer.name for layer in net.layers] == ["multiply", "Scale"]
    assert (net.apply([{}, {}], ROW) == ROW).all()
    none: Any = None
    with pytest.raises(TypeError, match=r"^function: f: got NoneType, expected a function of x"):
        nn.function(none)
