"""A small VGG-like net (after Simonyan and Zisserman 2015) for CIFAR's 32×32 colour images."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain


def cifar_cnn(num_classes: int = 10, *, features: tuple[int, ...] = (32, 64), hidden: int = 256) -> Chain:
    """For each entry of `features`: conv 3×3, conv 3×3, pool; then a fully connected layer of `hidden` units."""
    layers = []
    for channels in features:
        layers += [nn.conv2d(channels, 3, padding="SAME"), nn.relu()] * 2 + [nn.max_pool2d()]
    layers += [nn.flatten(), nn.dense(hidden), nn.relu(), nn.dense(num_classes)]
    return Chain("cifar_cnn", tuple(layers))
