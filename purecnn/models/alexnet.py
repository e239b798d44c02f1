"""AlexNet (Krizhevsky, Sutskever and Hinton 2012; lecture row 1)."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain
from purecnn.geometry import Padding


def alexnet(
    num_classes: int = 1000,
    *,
    grouped: bool = True,
    dropout: float = 0.5,
    input_padding: Padding = ((1, 2), (1, 2)),
) -> Chain:
    """Five convolutions and three fully connected layers, for (224, 224, 3), padded to 227; output (N, num_classes).

    `grouped` is the figure's two halves: conv2, conv4 and conv5 see the channels of their own half only, which here are
    two groups of one net (48/128/192/192/128 channels each). `grouped=False` is the single stream. For images that are
    227×227 already give `input_padding=0`. Training needs a `key`, for the dropout in front of FC6 and FC7's outputs.
    """
    groups = 2 if grouped else 1
    return Chain(
        "alexnet",
        (
            nn.conv2d(96, 11, stride=4, padding=input_padding),  # 55×55×96
            nn.relu(),
            nn.local_response_norm(),
            nn.max_pool2d(3, stride=2),  # 27×27
            nn.conv2d(256, 5, padding=2, groups=groups),
            nn.relu(),
            nn.local_response_norm(),
            nn.max_pool2d(3, stride=2),  # 13×13
            nn.conv2d(384, 3, padding=1),
            nn.relu(),
            nn.conv2d(384, 3, padding=1, groups=groups),
            nn.relu(),
            nn.conv2d(256, 3, padding=1, groups=groups),
            nn.relu(),
            nn.max_pool2d(3, stride=2),  # 6×6
            nn.flatten(),
            nn.dense(4096),
            nn.relu(),
            nn.dropout(dropout),
            nn.dense(4096),
            nn.relu(),
            nn.dropout(dropout),
            nn.dense(num_classes),
        ),
    )
