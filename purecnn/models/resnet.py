"""The residual nets for ImageNet (He et al. 2015), as torchvision has them."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain, Layer
from purecnn.initializers import fan_in_uniform, fan_out_normal, uniform


def resnet18(num_classes: int = 1000, *, width: int = 64) -> Chain:
    """Two blocks of two 3×3 convolutions in each of four stages, of width, 2·width, 4·width and 8·width channels.

    For (H, W, 3), drawn for 224×224; output (N, num_classes). The image is halved by the first convolution, by the
    pooling behind it and by the first block of every later stage. It keeps running statistics (`Chain.init_state`).
    """
    return _resnet("resnet18", _basic, (2, 2, 2, 2), 1, num_classes, width)


def resnet34(num_classes: int = 1000, *, width: int = 64) -> Chain:
    """`resnet18` with 3, 4, 6 and 3 blocks in its stages."""
    return _resnet("resnet34", _basic, (3, 4, 6, 3), 1, num_classes, width)


def resnet50(num_classes: int = 1000, *, width: int = 64) -> Chain:
    """Blocks of a 1×1, a 3×3 and a 1×1 convolution, which makes four times as many channels; 3, 4, 6 and 3 of them.

    This is version 1.5: a block that halves the image does so in its 3×3 convolution, not in the first 1×1.
    """
    return _resnet("resnet50", _bottleneck, (3, 4, 6, 3), 4, num_classes, width)


def resnet101(num_classes: int = 1000, *, width: int = 64) -> Chain:
    """`resnet50` with 3, 4, 23 and 3 blocks in its stages."""
    return _resnet("resnet101", _bottleneck, (3, 4, 23, 3), 4, num_classes, width)


def _resnet(name, block, blocks: tuple[int, ...], expansion: int, num_classes: int, width: int) -> Chain:
    layers = [*conv_norm(width, 7, 2), nn.relu(), nn.max_pool2d(3, stride=2, padding=1)]
    channels = width
    for stage, count in enumerate(blocks):
        for i in range(count):
            stride = 2 if stage > 0 and i == 0 else 1
            out = expansion * (width << stage)
            shortcut = conv_norm(out, 1, stride) if (stride, channels) != (1, out) else ()
            layers += [nn.residual(*block(width << stage, stride), shortcut=shortcut), nn.relu()]
            channels = out
    head = nn.dense(num_classes, init_w=fan_in_uniform, init_b=uniform(channels**-0.5))
    return Chain(name, (*layers, nn.global_avg_pool(), head))


def _basic(channels: int, stride: int) -> tuple[Layer, ...]:
    return (*conv_norm(channels, 3, stride), nn.relu(), *conv_norm(channels, 3))


def _bottleneck(channels: int, stride: int) -> tuple[Layer, ...]:
    first, second = conv_norm(channels, 1), conv_norm(channels, 3, stride)
    return (*first, nn.relu(), *second, nn.relu(), *conv_norm(4 * channels, 1))


def conv_norm(channels: int, window: int, stride: int = 1, groups: int = 1) -> tuple[Layer, ...]:
    """A convolution without bias (the normalisation has one) and the normalisation behind it."""
    options = {"stride": stride, "padding": window // 2, "groups": groups, "bias": False, "init_w": fan_out_normal}
    return nn.conv2d(channels, window, **options), nn.batch_norm(unbiased=True)
