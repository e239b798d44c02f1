"""AlexNet in one tower (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks")."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain, Layer
from purecnn.initializers import fan_in_uniform, uniform


def alexnet_one_tower(num_classes: int = 1000, *, dropout: float = 0.5) -> Chain:
    """Five convolutions without response normalisation and three fully connected layers, for (H, W, 3).

    This is torchvision's `alexnet`, drawn for 224×224 and good for 63×63 and more: what the convolutions leave is
    pooled to 6×6. Training needs a `key`, for the dropout in front of FC6 and FC7.
    """
    return Chain(
        "alexnet_one_tower",
        (
            _conv(3, 64, 11, stride=4, padding=2),  # 55×55×64
            nn.relu(),
            nn.max_pool2d(3, stride=2),  # 27×27
            _conv(64, 192, 5, padding=2),
            nn.relu(),
            nn.max_pool2d(3, stride=2),  # 13×13
            _conv(192, 384, 3, padding=1),
            nn.relu(),
            _conv(384, 256, 3, padding=1),
            nn.relu(),
            _conv(256, 256, 3, padding=1),
            nn.relu(),
            nn.max_pool2d(3, stride=2),  # 6×6
            nn.adaptive_avg_pool2d(6),
            nn.flatten(),
            nn.dropout(dropout),
            _dense(256 * 6 * 6, 4096),
            nn.relu(),
            nn.dropout(dropout),
            _dense(4096, 4096),
            nn.relu(),
            _dense(4096, num_classes),
        ),
    )


def _conv(channels: int, features: int, window: int, **options) -> Layer:
    """From `channels`, which its bias begins by: PyTorch's initial weights, as those of all layers here."""
    bias = uniform((channels * window**2) ** -0.5)
    return nn.conv2d(features, window, init_w=fan_in_uniform, init_b=bias, **options)


def _dense(inputs: int, features: int) -> Layer:
    return nn.dense(features, init_w=fan_in_uniform, init_b=uniform(inputs**-0.5))
