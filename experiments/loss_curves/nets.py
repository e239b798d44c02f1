"""The nets that a faulty rule is put into: LeNet on the 8×8 digits, and the variants in which its fault can show.

A rule takes the place of every layer of its kind that it can take. `purecnn`'s rules do the rest.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import purecnn
from purecnn import nn
from purecnn.chain import Chain, Layer
from tests.verify.faulty_rules.all import RIGHT, RULES
from tests.verify.faulty_rules.joined import Wrong

SHAPE, CLASSES = (8, 8, 1), 10
LAYERS = {
    "conv": "conv2d",
    "max-pool": "max_pool2d",
    "avg-pool": "avg_pool2d",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
    "dense": "dense",
    "flatten": "flatten",
}
LOSSES = {"cross-entropy": purecnn.softmax_cross_entropy, "squared error": purecnn.squared_error}
# Where LeNet does not have the layer, or its shapes cannot tell the fault from the right rule.
ELSEWHERE = {
    "avg-pool": "average",
    "sigmoid": "sigmoid",
    "softmax": "softmax",
    "squared error": "softmax",
    "conv: padding on the other side": "strided",
    "conv: strides exchanged": "strided",
    "conv: stride forgotten in w": "strided",
    "conv: stride forgotten in x": "strided",
    "conv: channels in and out exchanged": "square",
    "dense: w not transposed": "square",
    "max-pool: padding with zeros may win": "overlapping",
    "max-pool: largest by absolute value": "overlapping",
    "max-pool: overlapping windows overwrite": "overlapping",
    "max-pool: padding cropped on the wrong side": "overlapping",
    "avg-pool: padding counted": "overlapping average",
    "avg-pool: overlapping windows overwrite": "overlapping average",
    "avg-pool: remainder takes the last window's": "overlapping average",
}
NETS = (
    "lenet",
    "strided",
    "square",
    "overlapping",
    "average",
    "overlapping average",
    "sigmoid",
    "softmax",
)
# Options that the rule's ordinary call in the tests does not have.
POOL = {"window": 3, "stride": 2, "padding": "SAME"}
OPTIONS = {
    "strided": {"stride": (2, 1), "padding": "SAME"},
    "overlapping": POOL,
    "overlapping average": POOL,
}
# Learning rates at which the right net trains well; momentum and epochs are the same everywhere.
RATES = {"sigmoid": 0.1, "softmax": 0.1, "average": 0.05, "overlapping average": 0.06}
RATE = 0.03


def family(wrong: Wrong) -> str:
    return wrong.name.split(":")[0]


def trainable(wrong: Wrong) -> bool:
    return family(wrong) in LAYERS or family(wrong) in LOSSES


def net_for(wrong: Wrong) -> str:
    return ELSEWHERE.get(wrong.name, ELSEWHERE.get(family(wrong), "lenet"))


def by_name(name: str) -> Wrong:
    return next(wrong for wrong in RULES if wrong.name == name)


def control(wrong: Wrong) -> Wrong:
    """The same rule without its fault: what the tests' own form of the layer does at the same positions of the net."""
    rule = next(rule for _, rule, primal, _ in RIGHT if primal is wrong.reference)
    return dataclasses.replace(wrong, name=f"{family(wrong)}: no fault", rule=rule)


def build(name: str, wrong: Wrong | None = None) -> tuple[Chain, Callable[..., Any]]:
    """The net and its loss per sample, with `wrong` for the layers (or the loss) of its kind.

    Only `apply` of a replaced layer is the faulty rule's, which is what `jax.grad` differentiates; its pair `fwd` and
    `bwd` for the two lists stays purecnn's, and is not called here.
    """

    def put(layer: Layer, **options: Any) -> Layer:
        if wrong is None or LAYERS.get(family(wrong)) != layer.name:
            return layer

        def apply(params, state, x, train, key):
            arrays = [params[n] for n in ("w", "b") if n in params]
            if name == "square" and arrays[0].shape[-2] != arrays[0].shape[-1]:
                return layer.apply(params, state, x, train, key)  # the fault does not fit: in ≠ out
            return wrong.rule(x, *arrays, **options), state

        return dataclasses.replace(layer, apply=apply)

    def conv(features, **options):
        return put(nn.conv2d(features, 5, **options), **options)

    def pool():
        options = POOL if name.startswith("overlapping") else {}
        make = nn.avg_pool2d if name.endswith("average") else nn.max_pool2d
        return put(make(**options), **options)

    def activation():
        return put(nn.relu())

    channels, hidden = ((16, 16), (64, 64)) if name == "square" else ((6, 16), (120, 84))
    if name == "strided":  # 8×8 → 4×8 → 4×4, by paddings that differ from side to side
        convolutions = [
            conv(6, stride=(2, 1), padding="SAME"),
            activation(),
            conv(16, stride=(1, 2), padding="SAME"),
            activation(),
        ]
    elif name == "overlapping":  # pools negative numbers too
        convolutions = [part for c in channels for part in (conv(c, padding="SAME"), pool(), activation())]
    else:
        convolutions = [part for c in channels for part in (conv(c, padding="SAME"), activation(), pool())]
    # Sigmoids behind the dense layers alone: with four in a row plain SGD does not leave the start.
    squash = put(nn.sigmoid()) if name == "sigmoid" else activation()
    dense = [part for units in hidden for part in (put(nn.dense(units)), squash)]
    last = [put(nn.dense(CLASSES)), *([put(nn.softmax())] if name == "softmax" else [])]
    kind = "squared error" if name == "softmax" else "cross-entropy"
    loss = wrong.rule if wrong is not None and family(wrong) == kind else LOSSES[kind]
    return Chain(name, (*convolutions, put(nn.flatten()), *dense, *last)), loss
