"""Every rule of purecnn, at small arguments that use its options, with its oracles."""

import jax
import numpy as np

import purecnn
from tests.oracles import complex_step, loops, plain, pointwise_loops
from tests.oracles.agreement import Subject, assert_cotangents


def normal(*shapes):
    """Arrays of normal numbers; all different, and no two within a finite-difference step of each other or of 0."""
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def no_bias(*shapes):
    return lambda rng: (*normal(*shapes)(rng), None)


def spaced(*shape):
    """A permutation of well separated numbers, none of them 0: no step crosses a tie or a kink."""
    size = int(np.prod(shape))
    return lambda rng: ((rng.permutation(size).reshape(shape) - size / 2 + 0.25) / 4,)


def between_kinks(*shape, low=0, high=6):
    """As `spaced`, from below `low` to above `high`."""
    reach = (high - low) / 4 * 24 / np.prod(shape)
    return lambda rng: (spaced(*shape)(rng)[0] * reach + (low + high) / 2,)


def probabilities(rng, shape):
    y = rng.random(size=shape)
    return y / y.sum(axis=-1, keepdims=True)


def subject(rule, variant, make, *, names=("x", "w", "b"), exact=False, **options):
    name = rule.__name__
    return Subject(
        f"{name}{'-' if variant else ''}{variant}",
        rule,
        getattr(purecnn, f"{name}_fwd"),
        getattr(purecnn, f"{name}_bwd"),
        plain.named(name),
        next(getattr(oracle, name) for oracle in (loops, pointwise_loops, complex_step) if hasattr(oracle, name)),
        make,
        options,
        exact,
        names,
    )


# Every option in use: windows that overlap, a row left over, padding on one side more than on the other.
UNEVEN = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2)}
CONV = subject(
    purecnn.conv2d,
    "xla",
    normal((2, 5, 4, 4), (3, 3, 2, 6), (6,)),
    exact=True,
    algorithm="xla",
    groups=2,
    **UNEVEN,
)
TRANSPOSED = subject(
    purecnn.conv_transpose2d,
    "xla",
    normal((2, 3, 4, 4), (3, 3, 3, 4), (6,)),
    exact=True,
    algorithm="xla",
    groups=2,
    output_padding=(1, 0),
    **UNEVEN,
)
MAX_POOL = subject(purecnn.max_pool2d, "first", spaced(2, 6, 5, 3), window=(3, 2), **UNEVEN, ties="first")
CENTRED = ("x", "scale", "bias", "mean", "variance")

SUBJECTS = (
    CONV,
    CONV.variant("im2col", algorithm="im2col"),
    subject(
        purecnn.conv2d,
        "banded",
        normal((2, 5, 8, 2), (3, 3, 2, 6), (6,)),
        exact=True,
        algorithm="banded",
        **UNEVEN | {"stride": 1},
    ),
    subject(
        purecnn.conv2d,
        "winograd",
        normal((2, 5, 4, 2), (3, 2, 2, 3), (3,)),
        exact=True,
        algorithm="winograd",
        padding=((1, 0), (0, 2)),
    ),
    subject(
        purecnn.conv2d, "col2im", normal((2, 5, 4, 2), (3, 2, 2, 3), (3,)), exact=True, algorithm="col2im", **UNEVEN
    ),
    CONV.variant("wgrad_chunked", algorithm="wgrad_chunked"),
    subject(
        purecnn.conv2d,
        "depthwise",
        normal((2, 5, 4, 2), (3, 3, 1, 4), (4,)),
        exact=True,
        algorithm="depthwise",
        groups=2,
        **UNEVEN,
    ),
    subject(
        purecnn.conv2d,
        "space_to_depth",
        normal((2, 7, 6, 3), (3, 5, 3, 2), (2,)),
        exact=True,
        algorithm="space_to_depth",
        **UNEVEN | {"stride": (2, 3), "dilation": 1},
    ),
    CONV.variant("auto", algorithm="auto"),
    subject(purecnn.conv2d, "no bias", no_bias((2, 4, 4, 2), (3, 3, 2, 3)), exact=True, padding="SAME"),
    TRANSPOSED,
    TRANSPOSED.variant("auto", algorithm="auto"),
    subject(
        purecnn.conv_transpose2d, "no bias", no_bias((2, 3, 4, 2), (3, 2, 3, 2)), exact=True, padding="SAME", stride=2
    ),
    subject(purecnn.im2col, "", normal((2, 5, 4, 3)), exact=True, window=3, **UNEVEN),
    subject(
        purecnn.col2im,
        "",
        normal((2, 2, 2, 27)),
        names=("cols",),
        exact=True,
        input_shape=(2, 5, 4, 3),
        window=(3, 3),
        **UNEVEN,
    ),
    MAX_POOL,
    *(MAX_POOL.variant(ties, ties=ties) for ties in ("last", "split", "all")),
    subject(
        purecnn.avg_pool2d, "", normal((2, 5, 4, 3)), exact=True, window=(4, 2), stride=(2, 1), padding=((2, 0), (0, 1))
    ),
    subject(
        purecnn.avg_pool2d,
        "count",
        normal((2, 5, 4, 3)),
        exact=True,
        window=2,
        padding=((1, 0), (0, 2)),
        count_include_pad=True,
    ),
    subject(purecnn.adaptive_avg_pool2d, "", normal((2, 4, 2, 3)), exact=True, size=(3, 3)),
    subject(purecnn.global_avg_pool, "", normal((2, 4, 2, 3)), exact=True),
    subject(purecnn.upsample2d, "nearest", normal((2, 2, 3, 3)), exact=True, scale=(3, 2)),
    subject(purecnn.upsample2d, "bilinear", normal((2, 4, 3, 3)), exact=True, scale=2, method="bilinear"),
    subject(purecnn.upsample2d, "bilinear by 3 and 4", normal((2, 2, 3, 2)), scale=(3, 4), method="bilinear"),
    subject(purecnn.relu, "", spaced(2, 3, 4)),
    subject(purecnn.relu, "slope", spaced(2, 3, 4), slope_at_zero=0.25),
    subject(purecnn.leaky_relu, "", spaced(2, 3, 4), negative_slope=0.25),
    subject(purecnn.leaky_relu, "negative", spaced(2, 3, 4), negative_slope=-0.5),
    subject(purecnn.hard_swish, "", between_kinks(2, 3, 4, low=-3, high=3)),
    subject(purecnn.relu6, "", between_kinks(2, 3, 4)),
    subject(purecnn.gelu, "tanh", normal((2, 3, 4))),
    subject(purecnn.gelu, "exact", normal((2, 3, 4)), approximate=False),
    subject(purecnn.silu, "", normal((2, 3, 4))),
    subject(purecnn.tanh, "", normal((2, 3, 4))),
    subject(purecnn.sigmoid, "", normal((2, 3, 4))),
    subject(purecnn.softmax, "", normal((2, 3, 4))),
    subject(purecnn.softmax, "axis", normal((2, 3, 4)), axis=1),
    subject(purecnn.flatten, "", normal((2, 3, 2, 2)), exact=True),
    subject(
        purecnn.concatenate, "", normal((2, 2, 3, 2), (2, 2, 3, 3), (2, 2, 3, 1)), names=("a", "b", "c"), exact=True
    ),
    subject(purecnn.concatenate, "rows", normal((2, 1, 3, 2), (2, 4, 3, 2)), names=("a", "b"), exact=True, axis=1),
    subject(purecnn.dense, "", normal((3, 4), (4, 2), (2,)), exact=True),
    subject(purecnn.dense, "any axes", normal((2, 3, 2, 4), (4, 2), (2,)), exact=True),
    subject(purecnn.dense, "no bias", no_bias((3, 4), (4, 2)), exact=True),
    subject(
        purecnn.dropout, "", lambda rng: (rng.normal(size=(2, 3, 4)), jax.random.key(3)), names=("x", "key"), rate=0.25
    ),
    subject(
        purecnn.drop_path,
        "",
        lambda rng: (rng.normal(size=(6, 2, 2)), jax.random.key(3)),
        names=("x", "key"),
        rate=0.25,
    ),
    subject(purecnn.group_norm, "", normal((4, 2, 3, 4), (4,), (4,)), names=CENTRED, groups=2),
    subject(purecnn.layer_norm, "", normal((3, 2, 2, 6), (6,), (6,)), names=CENTRED),
    subject(purecnn.local_response_norm, "", normal((2, 2, 2, 7)), size=4, alpha=0.3),
    subject(purecnn.batch_norm, "", normal((3, 2, 2, 3), (3,), (3,)), names=CENTRED),
    subject(
        purecnn.batch_norm_inference,
        "",
        lambda rng: (*normal((3, 2, 2, 3), (3,), (3,), (3,))(rng), rng.random(3) + 0.5),
        names=CENTRED,
    ),
    subject(
        purecnn.softmax_cross_entropy,
        "integers",
        lambda rng: (rng.normal(size=(4, 3)), np.array([0, 2, 1, 2], np.int32)),
        names=("logits", "labels"),
    ),
    subject(
        purecnn.softmax_cross_entropy,
        "probabilities",
        lambda rng: (rng.normal(size=(4, 3)), probabilities(rng, (4, 3))),
        names=("logits", "labels"),
        label_smoothing=0.1,
    ),
    subject(
        purecnn.softmax_cross_entropy,
        "pixels",
        lambda rng: (rng.normal(size=(2, 2, 3, 4)), rng.integers(0, 4, (2, 2, 3)).astype(np.int32)),
        names=("logits", "labels"),
        label_smoothing=0.1,
    ),
    subject(
        purecnn.softmax_cross_entropy,
        "probabilities of pixels",
        lambda rng: (rng.normal(size=(2, 3, 4)), probabilities(rng, (2, 3, 4))),
        names=("logits", "labels"),
    ),
    subject(purecnn.squared_error, "", normal((3, 2, 2), (3, 2, 2)), names=("prediction", "target")),
)


def _first_of_each(kind):
    return list({kind(subject): subject for subject in reversed(SUBJECTS)}.values())[::-1]


ONE_OF_EACH_RULE = _first_of_each(lambda subject: subject.rule)
ONE_OF_EACH_KERNEL = _first_of_each(lambda subject: (subject.rule, subject.options.get("algorithm")))


def named(name):
    (found,) = (s for s in SUBJECTS if s.name == name)
    return found


def check_vjp(rule):
    """`rule` is right: by its pair, y and every cotangent are those of three oracles that do not know its derivation.

    They are autodiff of a plain forward, NumPy loops in float64 (or complex steps) and finite differences; the
    arguments are all of this file's for the rule.
    """
    subjects = [subject for subject in SUBJECTS if subject.rule is rule]
    assert subjects, f"no arguments to try {rule.__name__} at"
    for subject in subjects:
        assert_cotangents(subject)
