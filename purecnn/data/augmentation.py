"""Changes to training images that keep their class: pure functions (key, images) -> images, by name.

Images are float32 in [0, 1], before and after, and keep their shape. Each image has its own draw from the key, which a
step makes from its number: the same step makes the same changes, on any number of devices.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from purecnn.annotations import Array, Float, Key
from purecnn.data.colours import random_jitter
from purecnn.data.interpolation import interpolated
from purecnn.data.rand_augment import rand_augment


def random_warp(
    key: Key[Array, ""],
    images: Float[Array, "n h w c"],
    *,
    angle: float = 0.15,
    stretch: float = 0.1,
    shift: float = 0.0625,
) -> Float[Array, "n h w c"]:
    """Every image rotated, stretched, sheared and moved a little, by its own random amount; what moves in is 0.

    At most: `angle` in radians, `stretch` as a share, `shift` as a share of the image's size. Interpolated linearly, so
    that the shift may be a fraction of a pixel: on 8×8 images a whole one is already too much.
    """
    n, height, width, _ = images.shape
    keys = jax.random.split(key, 3)
    turn = jax.random.uniform(keys[0], (n,), images.dtype, -angle, angle)
    rotation = jnp.stack([jnp.cos(turn), -jnp.sin(turn), jnp.sin(turn), jnp.cos(turn)], axis=1).reshape(n, 2, 2)
    scale = jax.random.uniform(keys[1], (n, 2, 2), images.dtype, -stretch, stretch)
    size = jnp.asarray([height, width], images.dtype)[:, None]
    offset = jax.random.uniform(keys[2], (n, 2, 1), images.dtype, -shift, shift) * size[None]

    # Where in the old image each pixel of the new one comes from, relative to the middle.
    middle = (size - 1) / 2
    grid = jnp.indices((height, width)).reshape(2, -1).astype(images.dtype) - middle
    positions = (rotation + scale) @ grid[None] + offset + middle[None]

    return interpolated(images, positions[:, 0], positions[:, 1])


def random_resized_crop(
    key: Key[Array, ""], images: Float[Array, "n h w c"], *, least: float = 0.08
) -> Float[Array, "n h w c"]:
    """A random part of every image, enlarged to the image's size by linear interpolation: Szegedy et al. 2015.

    Its share of the area is uniform from `least` to 1. The logarithm of its ratio of width to height, relative to the
    image's, is uniform from that of 3/4 to that of 4/3; sides longer than the image are cut to its size.
    """
    n, height, width, _ = images.shape
    keys = jax.random.split(key, 3)
    area = jax.random.uniform(keys[0], (n,), images.dtype, least, 1)
    ratio = jnp.exp(jax.random.uniform(keys[1], (n,), images.dtype, -jnp.log(4 / 3), jnp.log(4 / 3)))
    shares = jnp.minimum(jnp.sqrt(jnp.stack([area / ratio, area * ratio])), 1)  # of the height, of the width
    begins = jax.random.uniform(keys[2], (2, n), images.dtype) * (1 - shares)
    rows, columns = (
        (begin[:, None] + share[:, None] * (jnp.arange(extent, dtype=images.dtype)[None] + 0.5) / extent) * extent - 0.5
        for begin, share, extent in zip(begins, shares, (height, width), strict=True)
    )
    rows, columns = jnp.clip(rows, 0, height - 1), jnp.clip(columns, 0, width - 1)
    y = jnp.broadcast_to(rows[:, :, None], (n, height, width)).reshape(n, -1)
    x = jnp.broadcast_to(columns[:, None, :], (n, height, width)).reshape(n, -1)
    return interpolated(images, y, x)


def random_flip(key: Key[Array, ""], images: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Each image mirrored with probability ½: left and right swapped."""
    mirrored = jax.random.bernoulli(key, 0.5, (len(images), 1, 1, 1))
    return jnp.where(mirrored, images[:, :, ::-1], images)


def random_crop(
    key: Key[Array, ""], images: Float[Array, "n h w c"], *, share: float = 0.125
) -> Float[Array, "n h w c"]:
    """Zeros around every image, then a crop of the old size at a random position.

    The zeros are `share` of the height above and below and of the width left and right, to whole pixels: 4 of 32.
    """
    n, height, width, _ = images.shape
    rows, columns = (
        jax.random.randint(each, (n, 1), -pad, pad + 1) + jnp.arange(extent)[None]
        for each, extent, pad in zip(
            jax.random.split(key), (height, width), (round(share * height), round(share * width)), strict=True
        )
    )
    for indices, axis in ((rows[:, :, None, None], 1), (columns[:, None, :, None], 2)):
        inside = (indices >= 0) & (indices < images.shape[axis])
        found = jnp.take_along_axis(images, indices, axis=axis, mode="clip")
        images = jnp.where(inside, found, 0)
    return images


def random_cutout(
    key: Key[Array, ""], images: Float[Array, "n h w c"], *, share: float = 0.5
) -> Float[Array, "n h w c"]:
    """In every image one square is 0: DeVries and Taylor 2017.

    Its side is `share` of the shorter side of the image; its middle is any pixel, so part of it may lie outside.
    """
    n, height, width, _ = images.shape
    side = round(share * min(height, width))
    rows, columns = (
        (first <= jnp.arange(extent)[None]) & (jnp.arange(extent)[None] < first + side)
        for each, extent in zip(jax.random.split(key), (height, width), strict=True)
        for first in [jax.random.randint(each, (n, 1), 0, extent) - side // 2]
    )
    return jnp.where(rows[:, :, None, None] & columns[:, None, :, None], 0, images)


AUGMENTATIONS = {
    "resized_crop": random_resized_crop,
    "warp": random_warp,
    "flip": random_flip,
    "crop": random_crop,
    "jitter": random_jitter,
    "rand_augment": rand_augment,
    "cutout": random_cutout,
}
OF_PAIRS = ("mixup", "cutmix")  # which mix labels as well: options of a run


def make_augmentation(name: str, crop_area: float = 0.08) -> Callable[[Array, Array], Array]:
    """`none`, one of AUGMENTATIONS, or several in their order: `flip+crop`; `crop_area` is resized_crop's.

    Raises ValueError for any other name, and where resized_crop is not the first.
    """
    parts = [] if str(name) == "none" else str(name).split("+")
    unknown = [part for part in parts if part not in AUGMENTATIONS]
    if unknown or len(set(parts)) < len(parts):
        own = next((f"; {part} is an option of its own" for part in unknown if part in OF_PAIRS), "")
        expected = f"none or some of {', '.join(AUGMENTATIONS)}, each once, joined by +"
        raise ValueError(f"augmentation: got {name!r}, expected {expected}{own}")
    if "resized_crop" in parts[1:]:  # of images that stay in files it is done while they are decoded
        raise ValueError(f"augmentation: got {name!r}, expected resized_crop to be the first")
    functions = AUGMENTATIONS | {"resized_crop": partial(random_resized_crop, least=crop_area)}
    if len(parts) == 1:
        return functions[name]

    def augment(key: Array, images: Array) -> Array:
        for part, each in zip(parts, jax.random.split(key, len(parts) or 1), strict=False):
            images = functions[part](each, images)
        return images

    return augment
