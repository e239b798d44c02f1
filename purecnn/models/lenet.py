"""LeNet-5 (LeCun et al. 1998) in today's parts: ReLU, max-pooling, and a softmax cross-entropy behind it."""

from __future__ import annotations

from purecnn import nn
from purecnn.chain import Chain
from purecnn.geometry import Padding


def lenet(num_classes: int = 10, *, second_padding: Padding = "SAME") -> Chain:
    """conv 5×5, 6 → pool → conv 5×5, 16 → pool → 120 → 84 → `num_classes`, for (H, W, C) from 4×4 pixels up.

    The original's second convolution is `second_padding="VALID"`: 28×28 → 14×14 → 10×10 → 5×5. With "SAME" the same
    net takes small images as well, such as the 8×8 digits.
    """
    return Chain(
        "lenet",
        (
            nn.conv2d(6, 5, padding="SAME"),
            nn.relu(),
            nn.max_pool2d(),
            nn.conv2d(16, 5, padding=second_padding),
            nn.relu(),
            nn.max_pool2d(),
            nn.flatten(),
            nn.dense(120),
            nn.relu(),
            nn.dense(84),
            nn.relu(),
            nn.dense(num_classes),
        ),
    )
