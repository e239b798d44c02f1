"""AlexNet in one tower (Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks")."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain


def alexnet_one_tower(num_classes: int = 1000, *, dropout: float = 0.5) -> Chain:
    """Five convolutions without response normalisation and three fully connected layers, for (224, 224, 3).

    This is the AlexNet that torchvision has weights for; `purecnn.results.torchvision` converts them. Its average
    pooling to 6×6 is left out here: at 224×224 what it would pool is 6×6 already. Training needs a `key`, for the
    dropout in front of FC6 and FC7.
    """
    return Chain(
        "alexnet_one_tower",
        (
            nn.conv2d(64, 11, stride=4, padding=2),  # 55×55×64
            nn.relu(),
            nn.max_pool2d(3, stride=2),  # 27×27
            nn.conv2d(192, 5, padding=2),
            nn.relu(),
            nn.max_pool2d(3, stride=2),  # 13×13
            nn.conv2d(384, 3, padding=1),
            nn.relu(),
            nn.conv2d(256, 3, padding=1),
            nn.relu(),
            nn.conv2d(256, 3, padding=1),
            nn.relu(),
            nn.max_pool2d(3, stride=2),  # 6×6
            nn.flatten(),
            nn.dropout(dropout),
            nn.dense(4096),
            nn.relu(),
            nn.dropout(dropout),
            nn.dense(4096),
            nn.relu(),
            nn.dense(num_classes),
        ),
    )
