"""ConvNeXt (Liu et al. 2022), as torchvision has it."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain, Layer
from purecnn.initializers import constant, normal

TINY = ((96, 3), (192, 3), (384, 9), (768, 3))  # channels and blocks of each stage


def convnext_tiny(num_classes: int = 1000, *, drop_path: float = 0.1, layer_scale: float = 1e-6) -> Chain:
    """Residual blocks: depthwise 7×7 convolution, layer norm, dense to four times the channels, GELU, dense back.

    For (H, W, 3) from 32×32 up, drawn for 224×224; output (N, num_classes). A block's branch is multiplied, channel by
    channel, by weights that begin as `layer_scale`, and in training left out of a sample with a probability that grows
    from 0 at the first block to `drop_path` at the last: training needs a `key`.
    """
    blocks, seen = sum(count for _, count in TINY), 0
    layers: list[Layer] = []
    for stage, (channels, count) in enumerate(TINY):
        if stage == 0:
            layers += [_conv(channels, 4, stride=4), nn.layer_norm(epsilon=1e-6)]
        else:
            layers += [nn.layer_norm(epsilon=1e-6), _conv(channels, 2, stride=2)]
        for _ in range(count):
            layers.append(_block(channels, layer_scale, drop_path * seen / (blocks - 1)))
            seen += 1
    head = (nn.global_avg_pool(), nn.layer_norm(epsilon=1e-6), nn.dense(num_classes, init_w=normal(0.02)))
    return Chain("convnext_tiny", (*layers, *head))


def _block(channels: int, layer_scale: float, drop_path: float) -> Layer:
    """Its dense layers see every pixel alone: 1×1 convolutions. The layer's scale is a depthwise one."""
    scale = nn.conv2d(channels, 1, groups=channels, bias=False, init_w=constant(layer_scale))
    return nn.residual(
        _conv(channels, 7, padding=3, groups=channels),
        nn.layer_norm(epsilon=1e-6),
        _conv(4 * channels, 1),
        nn.gelu(approximate=False),
        _conv(channels, 1),
        scale,
        nn.drop_path(drop_path),
    )


def _conv(channels: int, window: int, **options) -> Layer:
    """torchvision draws from a normal distribution cut off at 100 standard deviations, which is the whole of it."""
    return nn.conv2d(channels, window, init_w=normal(0.02), **options)
