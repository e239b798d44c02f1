"""MobileNetV2 (Sandler et al. 2018), as torchvision has it."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain
from purecnn.initializers import normal
from purecnn.models.resnet import conv_norm

# How many times as many channels inside a block, channels behind it, blocks, and the stride of the first of them.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v2(num_classes: int = 1000, *, dropout: float = 0.2) -> Chain:
    """Inverted residuals: 1×1 convolution to many channels, depthwise 3×3 convolution, 1×1 to few without a ReLU6.

    For (H, W, 3), drawn for 224×224; output (N, num_classes). It keeps running statistics (`Chain.init_state`);
    training needs a `key`, for the dropout in front of the dense layer.
    """
    layers, channels = [*conv_norm(32, 3, 2), nn.relu6()], 32
    for expansion, out, blocks, first in STAGES:
        for block in range(blocks):
            stride, wide = first if block == 0 else 1, expansion * channels
            body = (*conv_norm(wide, 3, stride, groups=wide), nn.relu6(), *conv_norm(out, 1))
            if expansion > 1:
                body = (*conv_norm(wide, 1), nn.relu6(), *body)
            layers += [nn.residual(*body)] if (stride, channels) == (1, out) else body
            channels = out
    layers += [*conv_norm(1280, 1), nn.relu6(), nn.global_avg_pool(), nn.dropout(dropout)]
    return Chain("mobilenet_v2", (*layers, nn.dense(num_classes, init_w=normal(0.01))))
