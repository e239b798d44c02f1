"""Configs for published tasks, by name: the defaults of `purecnn train --recipe NAME`."""

from __future__ import annotations

from typing import Literal

from purecnn.train.config import Config

Recipe = Literal["imagenet"]

IMAGENET = Config(
    model="resnet50",
    data="folder",
    image_size=224,
    val_share=0.01,  # of 1.28 million images; ImageNet's own validation images are the test set
    epochs=90,
    batch_size=1024,
    optimizer="nesterov",
    learning_rate=0.4,  # 0.1 for every 256 images of a batch, and five epochs to get there: Goyal et al. 2017
    weight_decay=1e-4,
    schedule="cosine",
    warmup_epochs=5.0,
    label_smoothing=0.1,
    ema=0.9999,
    augmentation="resized_crop+flip",
    precision="bfloat16",
    checkpoint_every=300.0,  # 300 MB each
)

RECIPES: dict[Recipe, Config] = {"imagenet": IMAGENET}
