"""Wrong arrays, and the messages for them: layer, argument, what came, what was expected."""

import re

import jax
import jax.numpy as jnp
import pytest

import purecnn
from purecnn import nn
from tests.refused import ROW, W, X, refused

pytestmark = pytest.mark.usefixtures("users_errors")
ANY = pytest.mark.parametrize
FOUR_AXES = "expected 4 axes (N H W C)"


@ANY(
    ("message", "function", "args"),
    [
        (f"conv2d: x: got shape (2, 4, 4), {FOUR_AXES}", purecnn.conv2d, (X[..., 0], W)),
        ("conv2d: w: got shape (3, 3), expected 4 axes (kh kw C/groups D)", purecnn.conv2d, (X, W[..., 0, 0])),
        ("conv2d: b: got shape (2,), expected (6,) (one per output channel)", purecnn.conv2d, (X, W, jnp.ones(2))),
        (f"max_pool2d: x: got shape (2, 4, 4), {FOUR_AXES}", purecnn.max_pool2d, (X[..., 0],)),
        (f"avg_pool2d: x: got shape (2, 4, 4), {FOUR_AXES}", purecnn.avg_pool2d, (X[..., 0],)),
        (f"global_avg_pool: x: got shape (2, 4, 4), {FOUR_AXES}", purecnn.global_avg_pool, (X[..., 0],)),
        (f"local_response_norm: x: got shape (2, 5), {FOUR_AXES}", purecnn.local_response_norm, (ROW,)),
        (f"im2col: x: got shape (2, 5), {FOUR_AXES}", purecnn.im2col, (ROW, 2)),
        (
            "col2im: cols: got shape (2, 5), expected 4 axes (N Ho Wo kh·kw·C)",
            purecnn.col2im,
            (ROW, (1, 1, 1, 1), 1),
        ),
        ("dense: x: got shape (), expected a last axis of inputs", purecnn.dense, (jnp.float32(1), ROW)),
        ("flatten: x: got shape (), expected a batch axis first", purecnn.flatten, (jnp.float32(1),)),
        ("softmax: x: got shape (), expected at least one axis", purecnn.softmax, (jnp.float32(1),)),
        ("drop_path: x: got shape (), expected a batch axis first", purecnn.drop_path, (jnp.float32(1), None, 0.5)),
        ("layer_norm: x: got shape (), expected a last axis", purecnn.layer_norm, (jnp.float32(1), ROW[0], ROW[0])),
        ("batch_norm: x: got shape (5,), expected a batch axis", purecnn.batch_norm, (ROW[0], ROW[0], ROW[0])),
        (
            "softmax_cross_entropy: logits: got shape (5,), expected at least 2 axes (N … K)",
            purecnn.softmax_cross_entropy,
            (ROW[0], jnp.array([1])),
        ),
        ("squared_error: prediction: got shape (), expected", purecnn.squared_error, (jnp.float32(1), jnp.float32(1))),
    ],
    ids=lambda value: value.split(":")[0] if isinstance(value, str) else "",
)
def test_wrong_rank(message, function, args):
    refused(ValueError, message, function, *args)


@ANY(
    ("message", "function", "args"),
    [
        ("conv2d: w: got shape (3, 3, 2, 6), expected 3 input channels", purecnn.conv2d, (X, W[:, :, :2])),
        (
            "dense: w: got shape (4, 2), expected (5, out): one row per input of x",
            purecnn.dense,
            (ROW, jnp.ones((4, 2))),
        ),
        (
            "dense: b: got shape (3,), expected (2,) (one per output)",
            purecnn.dense,
            (ROW, jnp.ones((5, 2)), jnp.ones(3)),
        ),
        (
            "batch_norm: scale: got shape (4,), expected (5,) (one per channel of x)",
            purecnn.batch_norm,
            (ROW, jnp.ones(4), jnp.ones(5)),
        ),
        (
            "layer_norm: bias: got shape (4,), expected (5,) (one per channel of x)",
            purecnn.layer_norm,
            (ROW, jnp.ones(5), jnp.ones(4)),
        ),
        (
            "batch_norm_inference: variance: got shape (4,), expected (5,)",
            purecnn.batch_norm_inference,
            (ROW, *[jnp.ones(5)] * 3, jnp.ones(4)),
        ),
        (
            "squared_error: target: got shape (2, 4), expected (2, 5) (the shape of prediction)",
            purecnn.squared_error,
            (ROW, ROW[:, :4]),
        ),
        (
            "col2im: cols: got shape (2, 4, 4, 3), expected (2, 3, 3, 12) (the patches of (2, 4, 4, 3))",
            purecnn.col2im,
            (X, (2, 4, 4, 3), 2),
        ),
    ],
    ids=["conv2d", "dense w", "dense b", "batch_norm", "layer_norm", "batch_norm_inference", "squared_error", "col2im"],
)
def test_channels_and_sizes_that_do_not_match(message, function, args):
    refused(ValueError, message, function, *args)


@ANY(
    ("message", "function", "args", "options"),
    [
        ("conv2d: window: got size (3, 3)", purecnn.conv2d, (X[:, :2], W), {}),
        ("max_pool2d: window: got size (5, 5)", purecnn.max_pool2d, (X,), {"window": 5}),
        ("avg_pool2d: window: got size (5, 5)", purecnn.avg_pool2d, (X,), {"window": 5}),
        ("im2col: window: got size (2, 2) with dilation (4, 4)", purecnn.im2col, (X, 2), {"dilation": 4}),
    ],
    ids=["conv2d", "max_pool2d", "avg_pool2d", "im2col"],
)
def test_window_larger_than_the_padded_input(message, function, args, options):
    refused(ValueError, message, function, *args, **options)
    with pytest.raises(ValueError, match=r"expected at most the padded input, .* with padding \(\(0, 0\), \(0, 0\)\)"):
        function(*args, **options)


@ANY(
    "name",
    [
        "conv2d",
        "dense",
        "max_pool2d",
        "avg_pool2d",
        "relu",
        "flatten",
        "im2col",
        "batch_norm",
        "dropout",
        "gelu",
        "relu6",
        "tanh",
        "silu",
    ],
)
def test_integer_images(name):
    image = X.astype(jnp.uint8)
    more = {
        "conv2d": (W,),
        "dense": (ROW,),
        "im2col": (2,),
        "batch_norm": (jnp.ones(3), jnp.ones(3)),
        "dropout": (jax.random.key(0), 0.5),
    }.get(name, ())
    message = f"{name}: x: got uint8, expected float16, bfloat16, float32 or float64"
    refused(TypeError, message, getattr(purecnn, name), image, *more)


def test_mixed_dtypes():
    half = jnp.float16
    refused(TypeError, "conv2d: w: got float16, expected float32, the dtype of x", purecnn.conv2d, X, W.astype(half))
    refused(TypeError, "dense: b: got float16, expected float32", purecnn.dense, ROW, ROW.T, jnp.ones(2, half))
    refused(TypeError, "batch_norm: scale: got float16", purecnn.batch_norm, ROW, jnp.ones(5, half), jnp.ones(5))
    refused(TypeError, "squared_error: target: got float16", purecnn.squared_error, ROW, ROW.astype(half))


@ANY(
    ("labels", "error", "message"),
    [
        (jnp.zeros(3, jnp.int32), ValueError, "labels: got shape (3,), expected (2,) (one class per sample)"),
        (jnp.zeros((2, 5), jnp.int32), ValueError, "labels: got shape (2, 5), expected (2,)"),
        (
            jnp.zeros((2, 4)),
            ValueError,
            "labels: got shape (2, 4), expected (2, 5) (a probability per class; classes are integers)",
        ),
        (jnp.zeros(2), ValueError, "labels: got shape (2,), expected (2, 5)"),
        ([0, 1], TypeError, "labels: got a list, expected an array"),
        (jnp.zeros(2, bool), TypeError, "labels: got bool, expected"),
        (jnp.zeros((2, 5), jnp.complex64), TypeError, "labels: got complex64, expected"),
    ],
    ids=lambda value: "" if not hasattr(value, "dtype") else f"{value.dtype}{value.shape}",
)
def test_labels_of_the_wrong_shape_or_dtype(labels, error, message):
    refused(error, f"softmax_cross_entropy: {message}", purecnn.softmax_cross_entropy, ROW, labels)


def test_nothing_to_average_or_to_normalise():
    for shape in ((1, 0, 2, 3), (1, 2, 0, 3)):
        got, x = f"x: got shape {shape}", jnp.ones(shape)
        refused(ValueError, f"global_avg_pool: {got}", purecnn.global_avg_pool, x)
        refused(ValueError, f"adaptive_avg_pool2d: {got}", purecnn.adaptive_avg_pool2d, x, size=2)
    refused(ValueError, "layer_norm: x: got shape (5, 0)", purecnn.layer_norm, jnp.ones((5, 0)), *[jnp.ones(0)] * 2)
    refused(ValueError, "adaptive_avg_pool2d: size: got 0, expected at least 1", purecnn.adaptive_avg_pool2d, X, size=0)
    refused(
        ValueError,
        "group_norm: x: got shape (2, 0, 1)",
        purecnn.group_norm,
        jnp.ones((2, 0, 1)),
        jnp.ones(1),
        jnp.ones(1),
        groups=1,
    )
    refused(ValueError, "batch_norm: x: got shape (0, 5)", purecnn.batch_norm, jnp.ones((0, 5)), ROW[0], ROW[0])
    refused(
        ValueError,
        "softmax_cross_entropy: logits: got shape (2, 0), expected at least one class",
        purecnn.softmax_cross_entropy,
        jnp.ones((2, 0)),
        jnp.zeros(2, jnp.int32),
    )


@pytest.mark.parametrize("given", [(28, 28, 1.0), ("28", "28", "1"), (28, -1, 1), [28, None, 1]])
def test_sizes_that_are_none(given):
    net = purecnn.Chain("net", (nn.conv2d(2, 3),))
    for call in (lambda: net.init(jax.random.key(0), given), lambda: net.init_state(given), lambda: net.summary(given)):
        with pytest.raises(TypeError, match=rf"^net: input_shape: got {re.escape(repr(tuple(given)))}, expected sizes"):
            call()
