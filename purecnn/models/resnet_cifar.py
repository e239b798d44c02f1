"""The residual nets for CIFAR's 32×32 colour images (He et al. 2015, §4.2)."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain, Layer


def resnet_cifar(
    num_classes: int = 10, *, features: tuple[int, ...] = (16, 32, 64), blocks_per_stage: int = 1
) -> Chain:
    """6·blocks_per_stage + 2 weighted layers for three stages: 8 by default; the paper's ResNet-20 is 3 per stage.

    A convolution, then stages of residual blocks, the first block of every later stage halving the image, then the
    average over the image and one fully connected layer. Where the paper pads a shortcut's new channels with zeros, a
    1×1 convolution makes them here. It keeps running statistics (`Chain.init_state`).
    """
    layers = [*_conv_norm(features[0], 1), nn.relu()]
    for stage, channels in enumerate(features):
        for block in range(blocks_per_stage):
            stride = 2 if stage > 0 and block == 0 else 1
            body = (*_conv_norm(channels, stride), nn.relu(), *_conv_norm(channels, 1))
            shortcut = _conv_norm(channels, stride, window=1) if stride == 2 else ()
            layers += [nn.residual(*body, shortcut=shortcut), nn.relu()]
    layers += [nn.global_avg_pool(), nn.dense(num_classes)]
    return Chain("resnet_cifar", tuple(layers))


def _conv_norm(channels: int, stride: int, window: int = 3) -> tuple[Layer, ...]:
    """A convolution without bias (the normalisation has one) and the normalisation behind it."""
    return nn.conv2d(channels, window, stride=stride, padding=window // 2, bias=False), nn.batch_norm()
