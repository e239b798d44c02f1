"""Wrong options, and the messages for them."""

import functools

import jax
import jax.numpy as jnp
import pytest

import purecnn
from tests.refused import ROW, W, X, refused

pytestmark = pytest.mark.usefixtures("users_errors")
ANY = pytest.mark.parametrize


@ANY("stride", [0, -1, (1, 0)])
@ANY("name", ["conv2d", "max_pool2d", "avg_pool2d", "im2col"])
def test_stride_that_is_not_positive(name, stride):
    args = {"conv2d": (X, W), "im2col": (X, 2)}.get(name, (X,))
    message = f"{name}: stride: got {0 if isinstance(stride, tuple) else stride}, expected at least 1"
    refused(ValueError, message, getattr(purecnn, name), *args, stride=stride)


@ANY(("stride", "error"), [(1.5, TypeError), ("2", TypeError), ((1, 2, 3), ValueError)])
def test_stride_that_is_no_integer_or_pair(stride, error):
    refused(error, f"max_pool2d: stride: got {stride!r}, expected an int", purecnn.max_pool2d, X, stride=stride)


def test_dilation_that_is_not_positive():
    refused(ValueError, "conv2d: dilation: got 0, expected at least 1", purecnn.conv2d, X, W, dilation=0)


def test_groups_that_do_not_divide():
    message = "group_norm: groups: got 2, expected a divisor of the 5 channels"
    refused(ValueError, message, purecnn.group_norm, ROW, ROW[0], ROW[0], groups=2)
    message = "group_norm: groups: got 0, expected at least 1"
    refused(ValueError, message, purecnn.group_norm, ROW, ROW[0], ROW[0], groups=0)
    message = "conv2d: groups: got 2, expected a divisor of the 3 input and 6 output channels"
    refused(ValueError, message, purecnn.conv2d, X, W, groups=2)
    message = "conv2d: groups: got 3, expected a divisor of the 3 input and 4 output channels"
    refused(ValueError, message, purecnn.conv2d, X, W[:, :, :1, :4], groups=3)
    refused(ValueError, "conv2d: groups: got 0, expected at least 1", purecnn.conv2d, X, W, groups=0)
    message = "conv_transpose2d: groups: got 0, expected at least 1"
    refused(ValueError, message, purecnn.conv_transpose2d, X, W.swapaxes(2, 3), groups=0)
    message = "conv_transpose2d: groups: got 2, expected a divisor of the 3 channels of x"
    refused(ValueError, message, purecnn.conv_transpose2d, X, W.swapaxes(2, 3), groups=2)


@ANY("padding", ["FULL", "same", (1, 2), ((1, 2), 3), [1, 1], ((1, 2, 3), (1, 2))])
def test_unknown_padding(padding):
    refused(ValueError, "max_pool2d: padding: got ", purecnn.max_pool2d, X, padding=padding)


@ANY("padding", [1.5, None])
def test_padding_that_is_no_integer(padding):
    refused(TypeError, f"conv2d: padding: got {padding!r}, expected", purecnn.conv2d, X, W, padding=padding)


def test_negative_padding():
    refused(ValueError, "conv2d: padding: got -1, expected at least 0", purecnn.conv2d, X, W, padding=-1)


@ANY(
    ("message", "function", "args", "options"),
    [
        (
            "max_pool2d: ties: got 'middle', expected one of 'first', 'last', 'split', 'all'",
            purecnn.max_pool2d,
            (X,),
            {"ties": "middle"},
        ),
        (
            "conv2d: algorithm: got 'fft', expected one of 'auto', 'xla', 'im2col', 'col2im', 'banded', "
            "'depthwise', 'space_to_depth', 'merged_groups', 'winograd', 'wgrad_chunked', 'wgrad_grouped', "
            "'wgrad_offsets', 'wgrad_pairs'",
            purecnn.conv2d,
            (X, W),
            {"algorithm": "fft"},
        ),
        ("relu: slope_at_zero: got 2.0, expected between 0 and 1", purecnn.relu, (X,), {"slope_at_zero": 2.0}),
        ("drop_path: rate: got -0.5, expected at least 0", purecnn.drop_path, (X, jax.random.key(0), -0.5), {}),
        ("dropout: rate: got 1.0, expected at least 0 and below 1", purecnn.dropout, (X, jax.random.key(0), 1.0), {}),
        ("layer_norm: epsilon: got 0.0, expected above 0", purecnn.layer_norm, (ROW, ROW[0], ROW[0]), {"epsilon": 0.0}),
        ("batch_norm: epsilon: got 0.0, expected above 0", purecnn.batch_norm, (ROW, ROW[0], ROW[0]), {"epsilon": 0.0}),
        (
            "softmax_cross_entropy: label_smoothing: got 1.0, expected at least 0 and below 1",
            purecnn.softmax_cross_entropy,
            (ROW, jnp.zeros(2, jnp.int32)),
            {"label_smoothing": 1.0},
        ),
        ("softmax: axis: got 2, expected an axis of x, of shape (2, 5)", purecnn.softmax, (ROW,), {"axis": 2}),
        ("softmax: axis: got -3, expected at least -2", purecnn.softmax, (ROW,), {"axis": -3}),
        ("local_response_norm: size: got 0, expected at least 1", purecnn.local_response_norm, (X,), {"size": 0}),
        ("local_response_norm: k, alpha: got 0.0", purecnn.local_response_norm, (X,), {"k": 0.0}),
    ],
    ids=[
        "ties",
        "algorithm",
        "slope_at_zero",
        "drop_path",
        "rate",
        "layer_norm",
        "epsilon",
        "label_smoothing",
        "axis",
        "axis below",
        "size",
        "k",
    ],
)
def test_unknown_options(message, function, args, options):
    refused(ValueError, message, function, *args, **options)


@ANY(
    ("function", "args", "name"),
    [
        (purecnn.relu, (X,), "slope_at_zero"),
        (purecnn.leaky_relu, (X,), "negative_slope"),
        (purecnn.local_response_norm, (X,), "alpha"),
        (purecnn.local_response_norm, (X,), "beta"),
        (purecnn.local_response_norm, (X,), "k"),
        (purecnn.layer_norm, (ROW, ROW[0], ROW[0]), "epsilon"),
        (purecnn.batch_norm, (ROW, ROW[0], ROW[0]), "epsilon"),
        (purecnn.batch_norm_inference, (ROW, *[ROW[0]] * 4), "epsilon"),
        (functools.partial(purecnn.group_norm, groups=1), (ROW, ROW[0], ROW[0]), "epsilon"),
        (purecnn.softmax_cross_entropy, (ROW, ROW), "label_smoothing"),
        (functools.partial(purecnn.dropout, X, jax.random.key(0)), (), "rate"),
        (functools.partial(purecnn.drop_path, X, jax.random.key(0)), (), "rate"),
    ],
)
@ANY("value", ["0.1", None])
def test_what_is_no_number_for_one(function, args, name, value):
    rule = getattr(function, "func", function)
    message = f"{rule.__name__}: {name}: got {value!r}, expected a number"
    refused(TypeError, message, function, *args, **{name: value})


def test_an_array_is_no_option():
    refused(TypeError, "conv2d: stride: got ", purecnn.conv2d, X, W, stride=jnp.ones(2))
