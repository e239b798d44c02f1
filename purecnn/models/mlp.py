"""The lecture's two-layer net (row 2), f₂ = σ(w₂ σ(w₁ x)), with any number of layers."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain
from purecnn.initializers import lecun_normal


def mlp(num_classes: int = 10, *, hidden: tuple[int, ...] = (64,), bias: bool = False) -> Chain:
    """Fully connected layers, each followed by a sigmoid: one per entry of `hidden`, then `num_classes` outputs.

    Inputs of any shape are flattened. The outputs are between 0 and 1, for `squared_error`, as in the lecture,
    which has no biases either.
    """
    layers = [nn.flatten()]
    for features in (*hidden, num_classes):
        layers += [nn.dense(features, bias=bias, init_w=lecun_normal), nn.sigmoid()]
    return Chain("mlp", tuple(layers))
