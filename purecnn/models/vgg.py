"""The nets of 3×3 convolutions (Simonyan and Zisserman 2015), as torchvision has them."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain
from purecnn.initializers import fan_out_normal, normal

EIGHT = ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2))  # convolutions: configuration A
THIRTEEN = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # configuration D


def vgg11(num_classes: int = 1000, *, dropout: float = 0.5) -> Chain:
    """Eight 3×3 convolutions, each with a ReLU, in five stages with a 2×2 pool behind each, and three dense layers.

    For (H, W, 3) from 32×32 up, drawn for 224×224; output (N, num_classes). What the stages leave is pooled to 7×7.
    Training needs a `key`, for the dropout behind the first two dense layers.
    """
    return _vgg("vgg11", EIGHT, False, num_classes, dropout)


def vgg11_bn(num_classes: int = 1000, *, dropout: float = 0.5) -> Chain:
    """`vgg11` with batch normalisation behind each convolution; it keeps running statistics (`Chain.init_state`)."""
    return _vgg("vgg11_bn", EIGHT, True, num_classes, dropout)


def vgg16(num_classes: int = 1000, *, dropout: float = 0.5) -> Chain:
    """`vgg11` with thirteen convolutions."""
    return _vgg("vgg16", THIRTEEN, False, num_classes, dropout)


def vgg16_bn(num_classes: int = 1000, *, dropout: float = 0.5) -> Chain:
    """`vgg16` with batch normalisation behind each convolution; it keeps running statistics (`Chain.init_state`)."""
    return _vgg("vgg16_bn", THIRTEEN, True, num_classes, dropout)


def _vgg(name: str, stages, normalised: bool, num_classes: int, dropout: float) -> Chain:
    layers = []
    for channels, count in stages:
        for _ in range(count):
            conv = nn.conv2d(channels, 3, padding=1, init_w=fan_out_normal)
            layers += [conv, *([nn.batch_norm(unbiased=True)] if normalised else []), nn.relu()]
        layers.append(nn.max_pool2d(2))
    layers += [nn.adaptive_avg_pool2d(7), nn.flatten()]
    for _ in range(2):
        layers += [nn.dense(4096, init_w=normal(0.01)), nn.relu(), nn.dropout(dropout)]
    return Chain(name, (*layers, nn.dense(num_classes, init_w=normal(0.01))))
