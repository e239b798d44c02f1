"""Changes to training images that leave their class as it is: pure functions (key, images) -> images, by name."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from purecnn.annotations import Array, Float, Key


def random_warp(
    key: Key[Array, ""],
    images: Float[Array, "n h w c"],
    *,
    angle: float = 0.15,
    stretch: float = 0.1,
    shift: float = 0.0625,
) -> Float[Array, "n h w c"]:
    """Every image turned, stretched, sheared and moved a little, by its own random amount; what moves in is 0.

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

    # Where in the old image each pixel of the new one comes from, seen from the middle.
    middle = (size - 1) / 2
    grid = jnp.indices((height, width)).reshape(2, -1).astype(images.dtype) - middle
    places = (rotation + scale) @ grid[None] + offset + middle[None]

    # Linear interpolation as two products: gathers would compile and run many times as long.
    rows, columns = _tents(places[:, 0], height), _tents(places[:, 1], width)
    from_rows = jnp.einsum("npr,nrck->npck", rows, images)
    return jnp.einsum("npc,npck->npk", columns, from_rows).reshape(images.shape)


def _tents(places: Float[Array, "n p"], extent: int) -> Float[Array, "n p extent"]:
    """The weight of every old row (or column) in what is read at `places`: 1 there, falling to 0 one pixel away."""
    distance = jnp.abs(places[:, :, None] - jnp.arange(extent, dtype=places.dtype)[None, None, :])
    return jnp.maximum(1 - distance, 0)


AUGMENTATIONS = {"none": lambda key, images: images, "warp": random_warp}
