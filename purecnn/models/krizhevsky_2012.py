"""AlexNet (Krizhevsky, Sutskever and Hinton 2012; lecture row 1)."""

from __future__ import annotations

from purecnn import blocks
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
            blocks.conv2d(96, 11, stride=4, padding=input_padding),  # 55×55×96
            blocks.relu(),
            blocks.local_response_norm(),
            blocks.max_pool2d(3, stride=2),  # 27×27
            blocks.conv2d(256, 5, padding=2, groups=groups),
            blocks.relu(),
            blocks.local_response_norm(),
            blocks.max_pool2d(3, stride=2),  # 13×13
            blocks.conv2d(384, 3, padding=1),
            blocks.relu(),
            blocks.conv2d(384, 3, padding=1, groups=groups),
            blocks.relu(),
            blocks.conv2d(256, 3, padding=1, groups=groups),
            blocks.relu(),
            blocks.max_pool2d(3, stride=2),  # 6×6
            blocks.flatten(),
            blocks.dense(4096),
            blocks.relu(),
            blocks.dropout(dropout),
            blocks.dense(4096),
            blocks.relu(),
            blocks.dropout(dropout),
            blocks.dense(num_classes),
        ),
    )
