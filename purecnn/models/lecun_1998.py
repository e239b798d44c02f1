"""LeNet-5 (LeCun et al. 1998) in today's parts: ReLU, max-pooling, and a softmax cross-entropy behind it."""

from __future__ import annotations

from purecnn import blocks
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
            blocks.conv2d(6, 5, padding="SAME"),
            blocks.relu(),
            blocks.max_pool2d(),
            blocks.conv2d(16, 5, padding=second_padding),
            blocks.relu(),
            blocks.max_pool2d(),
            blocks.flatten(),
            blocks.dense(120),
            blocks.relu(),
            blocks.dense(84),
            blocks.relu(),
            blocks.dense(num_classes),
        ),
    )
